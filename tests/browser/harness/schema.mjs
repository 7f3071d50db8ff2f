// The JSON Schemas of docs/schemas: what applications are asked and answer, as a test can hold it against them.
import { readdirSync, readFileSync } from 'node:fs';

import Ajv from 'ajv/dist/2020.js';

const FOLDER = new URL('../../../docs/schemas/', import.meta.url);
const FILES = readdirSync(FOLDER);
const schemas = new Ajv({ strict: true, strictTypes: false, strictRequired: false, allowUnionTypes: true });
for (const file of FILES) schemas.addSchema(read(file), file);

/** Their names, as the files are called. */
export const names = FILES.map((file) => file.replace(/\.json$/, ''));

/** What of the value the schema does not allow, in words; nothing if it is valid. */
export function faults(name, value) {
  const isValid = schemas.getSchema(`${name}.json`);
  if (!isValid) throw new Error(`docs/schemas has no ${name}.json`);
  return isValid(value) ? '' : schemas.errorsText(isValid.errors, { dataVar: name });
}

/** The properties that an action may have. */
export function properties(action) {
  return Object.keys(read(`action-${action}.json`).properties[action].properties ?? {});
}

function read(file) {
  return JSON.parse(readFileSync(new URL(file, FOLDER), 'utf8'));
}
