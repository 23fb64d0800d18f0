// Writes the Postman collection and its environment from openapi.yaml: node make.mjs [DIRECTORY], docs/postman if none is named.
// The same document makes the same bytes: whatever the converter would invent, it is given here.

import converter from 'openapi-to-postmanv2';
import yaml from 'js-yaml';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { flows } from './flows.mjs';

const root = fileURLToPath(new URL('../../', import.meta.url));
const methods = ['get', 'post', 'put', 'patch', 'delete'];

const about = `

**Ready to run.** Choose the environment "lastunit demo", fill in its \`buyer_token\` (\`make demo\` in one terminal,
\`bin/lastunit token buyer ann\` in another) and run the folder "Flows". The other folders have a request for each operation of
openapi.yaml; those for operators need an API key as well, \`operator_key\`. Event streams are not among them: a runner would wait for their end.`;

const environment = {
  id: '5ad4a5c2-1b1f-4c0e-9d5b-0f3c1c1c1212',
  name: 'lastunit demo',
  values: [
    { key: 'base_url', value: 'http://127.0.0.1:8080', type: 'default', enabled: true, description: 'Where the service listens: `make demo` prints it.' },
    { key: 'sku', value: 'notebook-dots', type: 'default', enabled: true, description: 'What the buyer asks for. The demo has 2500 of these.' },
    { key: 'buyer_token', value: '', type: 'secret', enabled: true, description: "A buyer's token: `bin/lastunit token buyer ann` prints one, good for a day." },
    { key: 'operator_sku', value: 'postman-sample', type: 'default', enabled: true, description: 'The product that the requests of operators create and stock.' },
    { key: 'operator_key', value: '', type: 'secret', enabled: true, description: "An API key: `bin/lastunit key create --name postman --scope '*'` prints one, once. Only the requests of operators need it." },
  ],
  _postman_variable_scope: 'environment',
};

// operationsOf is the document's operations by method and path as Postman writes it. Event streams are taken out of the document, and what a payment provider
// signs.
function operationsOf(document) {
  const found = new Map();
  for (const [path, item] of Object.entries(document.paths)) {
    for (const method of methods.filter((m) => item[m])) {
      if (Object.values(item[method].responses).some((r) => r.content?.['text/event-stream']) || item[method].parameters?.some((p) => p.name === 'Stripe-Signature')) {
        delete item[method];
        continue;
      }
      const forOperators = item[method].security?.length > 0 && item[method].security.every((s) => !('buyer' in s));
      found.set(`${method.toUpperCase()} ${path.replace(/\{(\w+)\}/g, ':$1')}`, { ...item[method], path, forOperators });
    }
  }
  return found;
}

// variableFor is the variable that stands for a property or parameter, if one does: {id} under /units is unit_id.
function variableFor(name, operation) {
  if (name === 'id') {
    name = operation.path.match(/(\w+)\/\{id\}/)[1].replace(/s$/, '') + '_id';
  }
  if (name === 'sku') {
    return operation.forOperators ? '{{operator_sku}}' : '{{sku}}';
  }
  return name.endsWith('_id') ? `{{${name}}}` : undefined;
}

// sample is a value for a schema: the document's own example where it has one. Optional properties without one are left out.
function sample(schema, document, operation, name = '') {
  if (schema.$ref) {
    return sample(schema.$ref.slice(2).split('/').reduce((at, key) => at[key], document), document, operation, name);
  }
  const variable = variableFor(name, operation);
  if (variable) {
    return variable;
  }
  const given = schema.examples?.[0] ?? schema.example ?? schema.default ?? schema.enum?.[0];
  if (given !== undefined) {
    return given;
  }
  const choice = schema.anyOf ?? schema.oneOf;
  if (choice) {
    return sample(choice.find((s) => s.type !== 'null'), document, operation, name);
  }
  switch ([schema.type].flat()[0]) {
    case 'object':
      return Object.fromEntries(
        Object.entries(schema.properties ?? {})
          .filter(([key, p]) => schema.required?.includes(key) || p.examples || p.properties || p.$ref || p.anyOf)
          .map(([key, property]) => [key, sample(property, document, operation, key)]),
      );
    case 'array':
      return [sample(schema.items, document, operation, name.replace(/s$/, ''))];
    case 'integer':
    case 'number':
      return schema.minimum ?? 1;
    case 'boolean':
      return false;
    default:
      return schema.format === 'date-time' ? '2030-12-12T12:00:00Z' : name;
  }
}

// finish makes a converted request ours: what identifies it and what is sent come from the document and the environment alone.
function finish(item, document, operations) {
  const { request } = item;
  const { path: segments, query = [], variable = [] } = request.url;
  const path = `/${segments.join('/')}`;
  const operation = operations.get(`${request.method} ${path}`);
  const parameter = (where, key) => operation.parameters?.find((p) => p.in === where && p.name === key);
  const value = (p) => String(sample({ ...p.schema, type: p.schema.type ?? 'string' }, document, operation, p.name));

  // What need not be sent is there to be switched on, with the document's example if it has one.
  const chosen = (given, p) => {
    const known = p.required || p.schema.examples || p.schema.default !== undefined || variableFor(p.name, operation);
    return { ...given, value: known ? value(p) : '', disabled: !p.required };
  };
  const header = (request.header ?? []).map((h) => {
    if (h.key === 'Idempotency-Key') {
      return { ...h, value: '{{$guid}}', disabled: false };
    }
    const p = parameter('header', h.key);
    return p ? chosen(h, p) : h;
  });
  const body = operation.requestBody?.content['application/json'];
  const sheet = operation.requestBody?.content['text/csv'];
  const expected = Object.keys(operation.responses).filter((code) => /^2|402|404|409/.test(code)).map(Number);
  return {
    name: item.name,
    request: {
      method: request.method,
      description: request.description?.content,
      url: {
        raw: `{{base_url}}${path}`,
        host: ['{{base_url}}'],
        path: segments,
        // The converter writes an array's items one by one; the first says enough.
        query: query.filter((q, i) => query.findIndex((other) => other.key === q.key) === i).map((q) => chosen(q, parameter('query', q.key))),
        variable: variable.map(({ key, description }) => ({ key, value: value(parameter('path', key)), description })),
      },
      header,
      ...(body && { body: { mode: 'raw', raw: JSON.stringify(sample(body.schema, document, operation), null, 2), options: { raw: { language: 'json' } } } }),
      ...(sheet && { body: { mode: 'raw', raw: sheet.example, options: { raw: { language: 'text' } } } }),
      // Without a word of its own a request has the collection's, the buyer's token.
      ...(operation.forOperators && { auth: bearer('{{operator_key}}') }),
      ...(operation.security?.length === 0 && { auth: { type: 'noauth' } }),
    },
    response: [],
    event: [
      {
        listen: 'test',
        script: {
          type: 'text/javascript',
          exec: [`pm.test('is understood and answered as documented', () => pm.expect(pm.response.code).to.be.oneOf([${expected.join(', ')}]));`],
        },
      },
    ],
  };
}

function bearer(token) {
  return { type: 'bearer', bearer: [{ key: 'token', value: token, type: 'string' }] };
}

async function collection() {
  const document = yaml.load(readFileSync(join(root, 'openapi.yaml'), 'utf8'));
  const operations = operationsOf(document);
  const { result, reason, output } = await promisify(converter.convertV2)(
    { type: 'json', data: structuredClone(document) },
    { folderStrategy: 'Tags', schemaFaker: false },
  );
  if (!result) {
    throw new Error(`openapi.yaml can't be converted: ${reason}`);
  }
  const converted = output[0].data;
  const folders = converted.item.map((folder) => ({
    name: folder.name,
    description: folder.description,
    item: folder.item.map((item) => finish(item, document, operations)),
  }));
  const requests = folders.reduce((n, folder) => n + folder.item.length, 0);
  if (requests !== operations.size) {
    throw new Error(`openapi.yaml has ${operations.size} operations, the collection ${requests} requests`);
  }
  const ids = [...new Set(JSON.stringify([flows, folders]).match(/\{\{\w+_id\}\}/g))].map((id) => id.slice(2, -2)).sort();
  return {
    info: {
      _postman_id: 'b1a2c8a6-6e0f-4d37-9a53-121220251212',
      name: converted.info.name,
      description: document.info.description + about,
      schema: converted.info.schema,
    },
    auth: bearer('{{buyer_token}}'),
    // The id of nothing, until a flow puts that of something there.
    variable: ids.map((key) => ({ key, value: '019b1234-5678-7abc-8def-0123456789ab' })),
    item: [flows, ...folders],
  };
}

const directory = process.argv[2] ?? join(root, 'docs/postman');
mkdirSync(directory, { recursive: true });
for (const [file, content] of [
  ['lastunit.postman_collection.json', await collection()],
  ['lastunit-demo.postman_environment.json', environment],
]) {
  writeFileSync(join(directory, file), `${JSON.stringify(content, null, 2)}\n`);
}
