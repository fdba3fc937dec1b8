// Reads custom resources as a JSON array, prints what is wrong with each as an array of arrays of texts.
//
// Two looks at each, because neither sees all. The validator, made from the CRD's schema, knows patterns, ranges and
// what is required, but lets unknown fields pass. The compiler knows all fields there are, and their types.

import { execFileSync } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";

const MODULES = {
  "cert-manager.io/v1": "@kubernetes-models/cert-manager/cert-manager.io/v1",
  "gateway.networking.k8s.io/v1": "@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1",
  "keda.sh/v1alpha1": "@kubernetes-models/keda/keda.sh/v1alpha1",
  "monitoring.coreos.com/v1": "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1",
};
const FLAGS = ["--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--moduleResolution", "nodenext"];

async function invalid({ apiVersion, kind, ...content }) {
  const { [kind]: Model } = await import(MODULES[apiVersion]);
  if (Model === undefined) return [`${apiVersion} has no ${kind}`];
  try {
    new Model(content).validate();
    return [];
  } catch (error) {
    return [error.message];
  }
}

/** One line an object, so that the compiler's line number says which it complains of. */
function illTyped(objects) {
  const lines = objects.map((object, number) => {
    const type = `import("${MODULES[object.apiVersion]}").I${object.kind}`;
    return `export const object${number}: ${type} = ${JSON.stringify(object)};`;
  });
  writeFileSync("objects.ts", lines.join("\n"));
  const faults = objects.map(() => []);
  try {
    execFileSync("node_modules/.bin/tsc", [...FLAGS, "objects.ts"], { encoding: "utf8" });
  } catch (error) {
    if (!error.stdout) throw error;
    for (const [, line, text] of error.stdout.matchAll(/^objects\.ts\((\d+),\d+\): (.*)$/gm)) faults[line - 1].push(text);
    if (!faults.flat().length) throw error;
  } finally {
    rmSync("objects.ts");
  }
  return faults;
}

const objects = JSON.parse(readFileSync(0, "utf8"));
const typed = illTyped(objects);
const faults = await Promise.all(objects.map(async (object, number) => [...typed[number], ...(await invalid(object))]));
console.log(JSON.stringify(faults));
