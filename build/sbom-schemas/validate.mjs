// Validates JSON documents: node validate.mjs cyclonedx|spdx|sarif|SCHEMA_FILE DOCUMENT...
// Prints one line for each error and ends with 1 when there are some.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
const Ajv = require('ajv');
const Ajv2020 = require('ajv/dist/2020');
const addFormats = require('ajv-formats');
const addMoreFormats = require('ajv-formats-draft2019');
const parseLicense = require('spdx-expression-parse');

const [kind, ...documents] = process.argv.slice(2);
const read = (path) => JSON.parse(readFileSync(path, 'utf8'));
const errors = [];

// A pattern in SARIF's schema is none for regular expressions of Unicode.
const options = { allErrors: false, strict: false, logger: false, unicodeRegExp: kind !== 'sarif' };
const ajv = kind === 'cyclonedx' || kind === 'sarif' ? new Ajv(options) : new Ajv2020(options);
addFormats(ajv);
addMoreFormats(ajv);
// Known to CycloneDX, not to the packages of formats.
ajv.addFormat('iri-reference', true);

let validate;
if (kind === 'cyclonedx') {
  const official = (name) => read(require.resolve('@cyclonedx/cyclonedx-library/package.json').replace('package.json', `res/schema/${name}.SNAPSHOT.schema.json`));
  for (const name of ['spdx', 'jsf-0.82', 'cryptography-defs']) ajv.addSchema(official(name), `http://cyclonedx.org/schema/${name}.SNAPSHOT.schema.json`);
  validate = ajv.compile(official('bom-1.6'));
} else if (kind === 'sarif') {
  // The official schema, of draft 4. What ajv knows no more of that is the name of the draft and of the schema.
  const { $schema, id, ...schema } = read(require.resolve('@microsoft/jest-sarif/package.json').replace('package.json', 'lib/schemas/sarif-2.1.0-rtm.5.json'));
  validate = ajv.compile(schema);
} else {
  validate = ajv.compile(read(kind === 'spdx' ? fileURLToPath(new URL('spdx-2.3.schema.json', import.meta.url)) : kind));
}

for (const path of documents) {
  const document = read(path);
  if (!validate(document)) for (const error of validate.errors) errors.push(`${path}: ${error.instancePath} ${error.message} ${JSON.stringify(error.params)}`);
  if (kind === 'cyclonedx') checkCycloneDx(path, document);
  if (kind === 'spdx') checkSpdx(path, document);
  if (kind === 'sarif') checkSarif(path, document);
}

if (errors.length > 0) {
  console.log(errors.slice(0, 20).join('\n'));
  process.exitCode = 1;
}

function checkCycloneDx(path, document) {
  const references = [document.metadata.component, ...document.components].map((component) => component['bom-ref']);
  if (new Set(references).size !== references.length) errors.push(`${path}: a bom-ref is there twice`);
  const known = new Set(references);
  for (const vulnerability of document.vulnerabilities ?? []) {
    for (const affected of vulnerability.affects) if (!known.has(affected.ref)) errors.push(`${path}: ${vulnerability.id} affects ${affected.ref}, which is not in the document`);
  }
  for (const component of document.components) {
    for (const license of component.licenses ?? []) if (license.expression) checkLicense(path, license.expression);
  }
}

// What the specification asks beyond the form: unique ids, relationships between what is there, licence expressions.
function checkSpdx(path, document) {
  const ids = [document.SPDXID, ...document.packages.map((entry) => entry.SPDXID)];
  if (new Set(ids).size !== ids.length) errors.push(`${path}: an SPDXID is there twice`);
  const known = new Set(ids);
  for (const relationship of document.relationships) {
    for (const end of [relationship.spdxElementId, relationship.relatedSpdxElement]) if (!known.has(end)) errors.push(`${path}: ${end} is not in the document`);
  }
  for (const entry of document.packages) {
    for (const license of [entry.licenseDeclared, entry.licenseConcluded]) if (license && license !== 'NOASSERTION' && license !== 'NONE') checkLicense(path, license);
  }
}

// SARIF 3.27.6 and 3.49.3: ruleIndex is the place of the rule, whose id is unique.
function checkSarif(path, document) {
  for (const run of document.runs) {
    const ids = run.tool.driver.rules.map((rule) => rule.id);
    if (new Set(ids).size !== ids.length) errors.push(`${path}: a rule is there twice`);
    for (const result of run.results) if (ids[result.ruleIndex] !== result.ruleId) errors.push(`${path}: ${result.ruleId} is not rule ${result.ruleIndex}`);
  }
}

function checkLicense(path, expression) {
  try {
    parseLicense(expression);
  } catch (error) {
    errors.push(`${path}: ${expression}: ${error.message}`);
  }
}
