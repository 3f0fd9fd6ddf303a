// Gimel as a plain script: the attributes of its tag are the settings, and name an experiment.

import { gimel } from "./gimel.mjs";

const tag = document.currentScript;
try {
  const { dataset } = tag;
  Object.assign(gimel, dataset);
  gimel.url = gimel.url || tag.src.replace(/gimel\.js.*/, "e");
  dataset.experiment && gimel.variant(dataset.experiment, JSON.parse(dataset.variants), dataset);
} catch (error) {
  console.error(error);
}
