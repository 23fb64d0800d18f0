// The two ways to a unit, ready to run. A script is written here as a function and sent to Postman as its body: it may use nothing but pm.

/* global pm */

function lines(f) {
  const body = f.toString().split('\n').slice(1, -1);
  const indent = Math.min(...body.map((line) => line.search(/\S/)).filter((n) => n >= 0));
  return body.map((line) => line.slice(indent));
}

// step is a request with its scripts; a folder's steps run in their order.
function step(name, method, path, { headers = {}, body, before, after }) {
  const events = { prerequest: before, test: after };
  return {
    name,
    event: Object.entries(events).filter(([, f]) => f).map(([listen, f]) => ({ listen, script: { type: 'text/javascript', exec: lines(f) } })),
    request: {
      method,
      header: Object.entries({ ...(body && { 'Content-Type': 'application/json' }), ...headers }).map(([key, value]) => ({ key, value })),
      ...(body && { body: { mode: 'raw', raw: JSON.stringify(body), options: { raw: { language: 'json' } } } }),
      url: `{{base_url}}${path}`,
    },
    response: [],
  };
}

const queued = '/api/v1/order/addToCart';
const direct = '/order/addToCart';
const one = { sku: '{{sku}}', quantity: 1 };

const lookIntoTheCart = (flow) =>
  step(`${flow}: look into the cart`, 'GET', '/api/v1/cart', {
    after: () => {
      pm.test('the cart shows what is held', () => {
        pm.response.to.have.status(200);
        pm.expect(pm.response.json().items.map((item) => item.id)).to.include(pm.collectionVariables.get('transaction_id'));
      });
    },
  });

const giveItBack = (flow) =>
  step(`${flow}: give it back`, 'DELETE', '/api/v1/cart/{{transaction_id}}', {
    after: () => {
      pm.test('204: given back', () => pm.response.to.have.status(204));
    },
  });

const replay = (flow, path) =>
  step(`${flow}: send the same request again`, 'POST', path, {
    headers: { 'Idempotency-Key': '{{idempotency_key}}' },
    body: one,
    after: () => {
      pm.test('201: the same transaction, and not another', () => {
        pm.response.to.have.status(201);
        pm.response.to.have.header('Idempotency-Replayed', 'true');
        pm.expect(pm.response.json().id).to.eql(pm.collectionVariables.get('transaction_id'));
      });
    },
  });

// A key made before the request, so that the next can repeat it; what an earlier run left behind is forgotten.
const newKey = () => {
  pm.collectionVariables.set('idempotency_key', pm.variables.replaceIn('{{$guid}}'));
  pm.collectionVariables.set('transaction_id', 'none');
};

const accepted = () => {
  const transaction = pm.response.json();
  pm.collectionVariables.set('transaction_id', transaction.id);
  pm.collectionVariables.set('polls', 0);
  pm.collectionVariables.set('poll_seconds', pm.response.headers.get('Retry-After'));
  pm.test('202: accepted', () => pm.response.to.have.status(202));
  pm.test('it is queued, and has a place in the queue', () => {
    pm.expect(transaction.status).to.eql('queued');
    pm.expect(transaction.queue_position).to.be.a('number').that.is.at.least(0);
  });
  pm.test('Location is where to ask for it, Retry-After how many seconds to wait before', () => {
    pm.expect(pm.response.headers.get('Location')).to.match(new RegExp(`/api/v1/transaction/${transaction.id}$`));
    pm.expect(pm.response.headers.get('Retry-After')).to.match(/^\d+$/);
  });
};

const held = () => {
  const transaction = pm.response.json();
  pm.collectionVariables.set('transaction_id', transaction.id);
  pm.test('201: held', () => {
    pm.response.to.have.status(201);
    pm.expect(transaction.status).to.eql('held');
    pm.expect(transaction.unit_ids).to.have.lengthOf(1);
    pm.expect(new Date(transaction.expires_at)).to.be.above(new Date(transaction.created_at));
  });
};

const heldNow = () => {
  const transaction = pm.response.json();
  pm.test('200: held', () => {
    pm.response.to.have.status(200);
    pm.expect(transaction.id).to.eql(pm.collectionVariables.get('transaction_id'));
    pm.expect(transaction.status).to.eql('held');
    pm.expect(transaction.unit_ids).to.have.lengthOf(1);
  });
  pm.collectionVariables.set('unit_id', transaction.unit_ids?.[0]);
};

const pause = () => {
  // Postman sends the request when no timer is left.
  setTimeout(() => {}, 1000 * Math.min(Number(pm.collectionVariables.get('poll_seconds')) || 1, 5));
};

const untilDecided = () => {
  const transaction = pm.response.json();
  const polls = Number(pm.collectionVariables.get('polls')) + 1;
  pm.collectionVariables.set('polls', polls);
  if (transaction.status === 'queued' && polls < 30) {
    pm.execution.setNextRequest(pm.info.requestName);
  } else {
    pm.test('200: held', () => {
      pm.response.to.have.status(200);
      pm.expect(transaction.status).to.eql('held');
      pm.expect(transaction.unit_ids).to.have.lengthOf(1);
    });
  }
};

const ordered = () => {
  const order = pm.response.json();
  pm.collectionVariables.set('order_id', order.id);
  pm.test('201: an order that awaits payment', () => {
    pm.response.to.have.status(201);
    pm.expect(order.status).to.eql('awaiting_payment');
    pm.expect(order.lines.map((line) => line.transaction_id)).to.eql([pm.collectionVariables.get('transaction_id')]);
    pm.expect(new Date(order.pay_by)).to.be.above(new Date(order.created_at));
  });
};

// checkout orders what the flow has claimed, and nothing else that is in the cart.
const checkout = (flow) =>
  step(`${flow}: order it`, 'POST', '/api/v1/order/checkout', {
    headers: { 'Idempotency-Key': '{{$guid}}' },
    body: { transaction_ids: ['{{transaction_id}}'], reference: 'postman' },
    after: ordered,
  });

const declined = () => {
  pm.test('402: the problem payment-failed', () => {
    pm.response.to.have.status(402);
    pm.expect(pm.response.json()).to.include({ code: 'payment-failed', status: 402 });
  });
};

const paid = () => {
  const order = pm.response.json();
  pm.test('200: paid', () => {
    pm.response.to.have.status(200);
    pm.expect(order.id).to.eql(pm.collectionVariables.get('order_id'));
    pm.expect(order.status).to.eql('paid');
    pm.expect(order.payment.status).to.eql('succeeded');
  });
};

const cancelled = () => {
  const order = pm.response.json();
  pm.test('200: cancelled, and its units are free', () => {
    pm.response.to.have.status(200);
    pm.expect(order.status).to.eql('cancelled');
    pm.expect(order.lines[0].returned_unit_ids).to.have.lengthOf(1);
  });
};

const pay = (name, card, after) =>
  step(name, 'POST', '/api/v1/orders/{{order_id}}/pay', { headers: { 'Idempotency-Key': '{{$guid}}' }, body: { card }, after });

const notFound = () => {
  pm.test('404: the problem not-found', () => {
    pm.response.to.have.status(404);
    pm.expect(pm.response.headers.get('Content-Type')).to.match(/^application\/problem\+json/);
    pm.expect(pm.response.json()).to.include({ type: '/problems/not-found', code: 'not-found', status: 404 });
  });
};

const keyed = { 'Idempotency-Key': '{{idempotency_key}}' };

export const flows = {
  name: 'Flows',
  description: 'Both ways to a unit, from asking for it to giving it back, and from the cart to a paid order. All but the last leave the stock as they found it.',
  item: [
    {
      name: 'Queued',
      description: 'The request is accepted at once; the answer is fetched when it is there.',
      item: [
        step('Queued: ask for one', 'POST', queued, { headers: keyed, body: one, before: newKey, after: accepted }),
        step('Queued: wait for the answer', 'GET', '/api/v1/transaction/{{transaction_id}}?wait=20', { after: heldNow }),
        replay('Queued', queued),
        lookIntoTheCart('Queued'),
        giveItBack('Queued'),
      ],
    },
    {
      name: 'Queued, by polling',
      description: 'For a shop front that knows POST and GET and nothing else: it asks again and again, at most 30 times, until it is told.',
      item: [
        step('Polling: ask for one', 'POST', queued, { headers: keyed, body: one, before: newKey, after: accepted }),
        step('Polling: ask what became of it', 'GET', '/api/v1/transaction/{{transaction_id}}', { before: pause, after: untilDecided }),
        giveItBack('Polling'),
      ],
    },
    {
      name: 'Queued, with Prefer: wait',
      description: 'The same queue; the caller waits for the answer in the request itself.',
      item: [
        step('Prefer: ask for one and wait', 'POST', queued, { headers: { ...keyed, Prefer: 'wait=20' }, body: one, before: newKey, after: held }),
        giveItBack('Prefer'),
      ],
    },
    {
      name: 'Direct',
      description: 'Decided in the request.',
      item: [
        step('Direct: ask for one', 'POST', direct, { headers: keyed, body: one, before: newKey, after: held }),
        replay('Direct', direct),
        step('Direct: look at the transaction', 'GET', '/api/v1/transaction/{{transaction_id}}', { after: heldNow }),
        lookIntoTheCart('Direct'),
        giveItBack('Direct'),
        step('Direct: ask for what there is not', 'POST', direct, {
          headers: { 'Idempotency-Key': '{{$guid}}' },
          body: { sku: 'no-such-product', quantity: 1 },
          after: notFound,
        }),
      ],
    },
    {
      name: 'Order, and change of mind',
      description: 'What is ordered is kept for the buyer until it is to be paid; cancelling it frees it at once.',
      item: [
        step('Cancel: ask for one', 'POST', direct, { headers: keyed, body: one, before: newKey, after: held }),
        checkout('Cancel'),
        step('Cancel: cancel the order', 'POST', '/api/v1/orders/{{order_id}}/cancel', { headers: { 'Idempotency-Key': '{{$guid}}' }, after: cancelled }),
      ],
    },
    {
      name: 'Order and pay',
      description: "With the built-in payment provider `test`, whose cards say what they do. It sells one unit; the operators' request \"Take units back\" returns it.",
      item: [
        step('Pay: ask for one', 'POST', direct, { headers: keyed, body: one, before: newKey, after: held }),
        checkout('Pay'),
        pay('Pay: with a card that is declined', 'decline', declined),
        pay('Pay: with one that is not', 'succeed', paid),
        step('Pay: look at the order', 'GET', '/api/v1/orders/{{order_id}}', { after: paid }),
      ],
    },
  ],
};
