// Gimel as a plain script: the attributes of its tag are the settings, and name an experiment.

import { attempt, gimel } from "./gimel.mjs";

const tag = document.currentScript;
attempt(() => {
  const { dataset } = tag;
  for (const name of ["url", "namespace", "user", "gpc"]) if (name in dataset) gimel[name] = dataset[name];
  gimel.url = gimel.url || new URL("e", tag.src).href;
  dataset.experiment && gimel.variant(dataset.experiment, JSON.parse(dataset.variants), dataset);
}, true);
