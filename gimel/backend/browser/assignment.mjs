// The assignment of visitors to variants: a published hash, computed as in
// gimel/backend/experiment/assignment.py. docs/assignment-vectors.json holds examples.
// Works in a page and in Node.

/**
 * Return the MurmurHash3 of a text's UTF-8: the x86 variant of 32 bits.
 * Source: Austin Appleby, https://github.com/aappleby/smhasher/blob/master/src/MurmurHash3.cpp
 */
export function murmur3(text, seed) {
  const bytes = new TextEncoder().encode(text);
  const scrambled = (block) => {
    block = Math.imul(block, 0xcc9e2d51);
    return Math.imul((block << 15) | (block >>> 17), 0x1b873593);
  };
  let block = 0;
  bytes.forEach((byte, index) => {
    block |= byte << (8 * (index % 4));
    if (index % 4 === 3) {
      seed ^= scrambled(block);
      seed = (Math.imul((seed << 13) | (seed >>> 19), 5) + 0xe6546b64) | 0;
      block = 0;
    }
  });
  seed ^= scrambled(block) ^ bytes.length;
  seed = Math.imul(seed ^ (seed >>> 16), 0x85ebca6b);
  seed = Math.imul(seed ^ (seed >>> 13), 0xc2b2ae35);
  return (seed ^ (seed >>> 16)) >>> 0;
}

const fraction = (experiment, visitor, seed) => murmur3(`${experiment}\n${visitor}`, seed) / 2 ** 32;

/** Return whether the visitor is in the share of visitors who take part. 1 is everybody. */
export const takesPart = (experiment, visitor, traffic) => fraction(experiment, visitor, 1) < traffic;

/**
 * Return the variant of a visitor who takes part. `weights` holds each variant's share, in any unit.
 * The order of the variants does not matter.
 */
export function assignedVariant(experiment, visitor, weights) {
  const names = Object.keys(weights).sort();
  let left = fraction(experiment, visitor, 0) * names.reduce((total, name) => total + weights[name], 0);
  return names.find((name) => (left -= weights[name]) < 0)
    // Rounding may leave a rest of 0.
    ?? names.reverse().find((name) => weights[name] > 0);
}
