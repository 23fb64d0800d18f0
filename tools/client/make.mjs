// Writes the client's generated sources from openapi.yaml: node make.mjs [DIRECTORY], web/client/src/generated if none is named.
// What it does not know in the document it refuses, rather than to type it wrongly.

import yaml from 'js-yaml';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
const header = '// Generated from openapi.yaml by `make client`. Do not edit.\n\n';

// comment is a TSDoc comment, or nothing where there is nothing to say.
function comment(text, indent = '') {
  if (!text) {
    return '';
  }
  const lines = text.replaceAll('*/', '* /').trimEnd().split('\n');
  return lines.length === 1
    ? `${indent}/** ${lines[0]} */\n`
    : `${indent}/**\n${lines.map((line) => `${indent} * ${line}`.trimEnd()).join('\n')}\n${indent} */\n`;
}

const annotations = ['description', 'examples', 'format', 'default', 'minimum', 'maximum', 'minLength', 'maxLength', 'minItems', 'maxItems', 'pattern', 'patternDescription'];
const structure = ['$ref', 'anyOf', 'type', 'enum', 'items', 'properties', 'required', 'additionalProperties'];

// What is thrown is called ProblemError.
const renamed = { ProblemError: 'ValidationError' };

// typeOf is the TypeScript type of a schema; used collects the named ones.
function typeOf(schema, used, indent = '') {
  const unknown = Object.keys(schema).filter((k) => !annotations.includes(k) && !structure.includes(k));
  if (unknown.length > 0) {
    throw new Error(`tools/client/make.mjs does not know ${unknown.join(', ')} in a schema`);
  }
  if (schema.$ref) {
    const name = schema.$ref.replace('#/components/schemas/', '');
    used.add(name);
    return renamed[name] ?? name;
  }
  const choices = schema.anyOf
    ? schema.anyOf.map((one) => typeOf(one, used, indent))
    : [schema.type].flat().map((type) => simpleType(type, schema, used, indent));
  return choices.join(' | ');
}

function simpleType(type, schema, used, indent) {
  switch (type) {
    case 'null':
    case 'boolean':
      return type;
    case 'integer':
    case 'number':
      return 'number';
    case 'string':
      return schema.enum ? schema.enum.map((v) => JSON.stringify(v)).join(' | ') : 'string';
    case 'array': {
      const item = typeOf(schema.items, used, indent);
      return item.includes(' | ') ? `(${item})[]` : `${item}[]`;
    }
    case 'object':
      return schema.properties ? `{\n${members(schema, used, indent + '  ')}${indent}}` : '{ [name: string]: unknown }';
    default:
      throw new Error(`tools/client/make.mjs does not know the type ${type}`);
  }
}

// aboutMember is what is said of a property: what it is, in which form, and what it is when it is left out.
function aboutMember(schema) {
  const said = [schema.description];
  if (schema.format === 'date-time' && !/RFC 3339/.test(schema.description)) {
    said.push('RFC 3339.');
  }
  if (schema.default !== undefined) {
    said.push(`Default: ${schema.default}.`);
  }
  return said.filter(Boolean).join(' ');
}

function members(schema, used, indent) {
  return Object.entries(schema.properties)
    .map(([name, p]) => `${comment(aboutMember(p), indent)}${indent}${name}${schema.required?.includes(name) ? '' : '?'}: ${typeOf(p, used, indent)};\n`)
    .join('');
}

const notShown = ['Problem', 'ProblemError']; // problems.ts has a type for each code

function types(schemas) {
  return Object.entries(schemas)
    .filter(([name]) => !notShown.includes(name))
    .map(([name, schema]) => `${comment(schema.description)}export interface ${name} {\n${members(schema, new Set(), '  ')}}\n`)
    .join('\n');
}

// problemsOf lists the operation's problems, each as its example says it.
function problemsOf(operation) {
  return Object.values(operation.responses)
    .flatMap((r) => Object.values(r.content?.['application/problem+json']?.examples ?? {}))
    .map((e) => e.value);
}

// aboutWith takes what is said of one code out of "With this: that. With another: something else."
function aboutWith(code, description) {
  const [, said] = description.match(new RegExp(`With ${code}: (.*?)(?= With [a-z-]+: |$)`)) ?? [, description];
  return said[0].toUpperCase() + said.slice(1);
}

// The document has one schema for all problems. Which members a code has is told by its examples, and that one may be absent by its description.
function problems(schemas, operations) {
  const byCode = new Map(operations.flatMap(problemsOf).map((p) => [p.code, p]));
  const { properties, required } = schemas.Problem;
  const kinds = [...byCode.values()].sort((a, b) => (a.code < b.code ? -1 : 1)).map((p) => {
    const own = Object.keys(p).filter((name) => !required.includes(name));
    const always = own.filter((name) => !/, if /.test(properties[name].description));
    const told = own.map((name) => [name, { ...properties[name], description: aboutWith(p.code, properties[name].description) }]);
    return `${comment(p.title, '  ')}  ${JSON.stringify(p.code)}: {\n    status: ${p.status};\n` +
      `${members({ properties: Object.fromEntries(told), required: always }, new Set(), '    ')}  };\n`;
  });
  const base = required.filter((name) => name !== 'code' && name !== 'status');
  return `/** What every problem has. */\nexport interface ProblemBase {\n` +
    `${members({ properties: Object.fromEntries(base.map((name) => [name, properties[name]])), required: base }, new Set(), '  ')}}\n\n` +
    `${comment(schemas.ProblemError.description ?? 'One thing that is wrong with a request.')}export interface ValidationError {\n${members(schemas.ProblemError, new Set(), '  ')}}\n\n` +
    `/** The problem codes, and what a problem has with each besides what every one has. */\nexport interface ProblemKinds {\n${kinds.join('')}}\n`;
}

const upper = (name) => name[0].toUpperCase() + name.slice(1);

// bodyOf is the body that an operation takes: its schema if it is JSON, or else its media type; or nothing.
function bodyOf(operation) {
  const content = operation.requestBody?.content;
  if (!content) {
    return undefined;
  }
  const [media, ...more] = Object.keys(content);
  if (more.length > 0) {
    throw new Error(`${operation.operationId} takes several types of body`);
  }
  return media === 'application/json' ? { schema: content[media].schema } : { media };
}

// answerOf is the type of what an operation succeeds with: void without content, and a Response to read where it is not JSON, or not always.
function answerOf(operation, used) {
  const contents = Object.entries(operation.responses).filter(([status]) => status < 400).map(([, r]) => r.content);
  const found = new Set(contents.filter(Boolean).map((c) => (c['application/json'] && Object.keys(c).length === 1 ? typeOf(c['application/json'].schema, used) : 'Response')));
  if (found.size > 1) {
    throw new Error(`${operation.operationId} has several kinds of answers`);
  }
  return [...found][0] ?? 'void';
}

const headersKnown = ['Buyer-Id', 'Idempotency-Key', 'Prefer'];

// One function an operation: what its path names, then its body or query, then the options. Nothing else of the package need come along.
function operation({ method, path, operation: o }, used) {
  const parameters = o.parameters ?? [];
  const of = (where) => parameters.filter((p) => p.in === where);
  const headers = of('header').map((p) => p.name);
  const unknown = headers.filter((name) => !headersKnown.includes(name));
  if (unknown.length > 0) {
    throw new Error(`${o.operationId} takes ${unknown}, which the client never sends`);
  }
  const body = bodyOf(o);
  const query = of('query');
  const name = o.operationId;
  const takes = of('path').map((p) => `${p.name}: string`);
  const request = [];
  let before = '';
  if (body) {
    const optional = o.requestBody.required || body.media ? '' : ' = {}';
    takes.push(`body: ${body.media ? 'Blob | string' : typeOf(body.schema, used)}${optional}`);
    request.push('body', ...(body.media ? [`media: ${JSON.stringify(body.media)}`] : []));
  }
  if (query.length > 0) {
    const properties = Object.fromEntries(query.map((p) => [p.name, { ...p.schema, description: p.description }]));
    before += `export interface ${upper(name)}Query {\n${members({ properties, required: query.filter((p) => p.required).map((p) => p.name) }, used, '  ')}}\n\n`;
    takes.push(`query: ${upper(name)}Query = {}`);
    request.push('query');
  }
  if (headers.includes('Idempotency-Key')) {
    request.push('keyed: true');
  }
  if (!o.security?.length) {
    request.push('open: true');
  }
  const answer = answerOf(o, used);
  if (answer === 'Response') {
    request.push('raw: true');
  }
  const options = headers.includes('Prefer') ? 'WaitOptions' : 'CallOptions';
  used.add(options);
  takes.unshift('client: Client');
  takes.push(`options?: ${options}`);
  const code = `${upper(name)}Code`;
  const codes = problemsOf(o).map((p) => JSON.stringify(p.code)).sort();
  const address = path.includes('{') ? '`' + path.replace(/\{(\w+)\}/g, '${part($1)}') + '`' : `"${path}"`;
  return `${before}/** What {@link ${name}} may be refused for. */\nexport type ${code} =\n${codes.map((c) => `  | ${c}`).join('\n')};\n\n` +
    `${comment(`${o.summary}\n\n${o.description}`)}export function ${name}(${takes.join(', ')}): Call<${answer}, ${code}> {\n` +
    `  return call(client, "${method.toUpperCase()}", ${address}, { ${request.join(', ')} }, options);\n}\n`.replace('{  }', '{}');
}

function operations(all) {
  const used = new Set(['Client']);
  const written = all.map((one) => operation(one, used)).join('\n');
  const of = (names) => names.sort().join(', ');
  const fromCall = ['CallOptions', 'Client', 'WaitOptions'].filter((name) => used.has(name));
  return `import { call, part } from "../call.js";\nimport type { ${of(fromCall)} } from "../call.js";\nimport type { Call } from "../problem.js";\n` +
    `import type { ${of([...used].filter((name) => !fromCall.includes(name)))} } from "./types.js";\n\n${written}`;
}

const document = yaml.load(readFileSync(join(root, 'openapi.yaml'), 'utf8'));
const all = Object.entries(document.paths).flatMap(([path, item]) => Object.entries(item).map(([method, o]) => ({ method, path, operation: o })));
// Streams are read by what is written by hand: src/transaction.ts, src/product.ts.
const isStream = ({ operation: o }) => Object.values(o.responses).some((r) => r.content?.['text/event-stream']);
// What a payment provider sends, signed by it, is nobody else's to call.
const isHook = ({ operation: o }) => (o.parameters ?? []).some((p) => p.name === 'Stripe-Signature');
const { schemas } = document.components;
const target = process.argv[2] ?? join(root, 'web/client/src/generated');
rmSync(target, { recursive: true, force: true });
mkdirSync(target, { recursive: true });
writeFileSync(join(target, 'types.ts'), header + types(schemas));
writeFileSync(join(target, 'problems.ts'), header + problems(schemas, all.map((one) => one.operation)));
writeFileSync(join(target, 'operations.ts'), header + operations(all.filter((one) => !isStream(one) && !isHook(one))));
