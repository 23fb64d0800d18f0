// Package shop is the shop: its nouns, its rules, its transactions and its refusals. It knows PostgreSQL and knows no HTTP.
//
// # Nouns
//
//	product      what is sold, named by its SKU
//	unit         one physical item; it has an id for life
//	stock token  the row that says "this unit may be claimed": one row per available unit, in a pool, at a position
//	pool         where a product's tokens lie: the common pool (0), or the allotment of one sale
//	receipt      units that came in            withdrawal   units that were taken out for good
//	claim        a buyer's request for units; its public name is transaction
//	hold         a claim that has its units, until expires_at
//	queue        claims of a pool that were accepted and wait for their turn, each at its place: how many units had been asked for before
//	sale         products at a price, from an instant to another, perhaps with an allotment and a purchase limit
//	order        holds that were ordered: its lines are the claims that name it (shop_order; order is a word of SQL)
//	payment      what a payment provider was asked to take for an order      refund   what it is asked to give back
//	rehearsal    a planned sale that a server plays against itself, on copies of its products (internal/rehearsal does; here is who asked, and what came of it)
//	import       products and receipts from a sheet (internal/sheet reads it), all of it or nothing
//	event        what happened to an order, a sale or a product's stock, written in the transaction that did it
//	repair       something that the audit found broken and an operator had put right (lastunit audit --repair); docs/repair.md says what it does
//
// A claim deletes stock tokens and writes a claim and, from the DELETE's RETURNING, a claim_unit per unit. A hold that ends marks its
// claim_units as released and writes new tokens at new, higher positions. An order leaves the claims and their claim_units where they are: its units
// leave it one by one, each marked with how, into a token, quarantine or a withdrawal. A unit's own row never changes; its life is read from the
// rows that name it.
//
// # Places of a unit
//
//	available   a stock_token             held, ordered, sold   a claim_unit with released_at NULL; which of them tell the claim and its order
//	withdrawn   a withdrawal_unit         quarantine            a quarantine_unit with left_at NULL
//
// A hold that has lapsed counts as available everywhere that anybody can see, whether or not it was swept, and so does an unpaid order that is overdue
// while no payment is under way for it.
//
// # Pools
//
// A sale's allotment lies in a pool of its own from the moment it is scheduled. A unit that comes back goes to the pool that it was claimed from, or to
// the common one when that sale is over (return_pool); what is left of an allotment goes there when its sale closes. A claim that names no
// sale is served through the one that is open for its product; when the allotment has too little, by what sells beside it.
//
// # One way to claim a unit
//
// A direct claim and a queued request are settled by the same batch (settlement): calls in an order, each of which gets all its units or
// none. A direct claim comes from the lane. A request is accepted first: written down at the tail of its pool's queue, in a batch of its own,
// before it is answered. From then on it stands before every direct claim that was sent later: a batch with claims for a pool that has a
// queue takes the turn at its head and settles the requests that were there when the claims arrived before those claims. Which server does
// it does not matter; one goroutine for each product (drains) sees to it where requests were accepted, a background loop where the
// server that accepted them is gone.
//
// # States of a transaction
//
//	queued → held | refused | released
//	held   → ordered | released | expired
//
// # States of an order, and of a sale
//
//	awaiting_payment → paid | cancelled      paid → refunded
//	draft → scheduled → open ⇄ paused → closed
//
// A sale's state is not stored: what was decided is (stage, paused_at), and the state follows the database's clock (sale_state), so that opening needs
// nobody awake.
//
// # Figures of a sale
//
// What is answered to those who ask for units of a sale is counted in memory (saleCounts), by the second, product and outcome, when a batch has been settled, and written down
// once a second (sale_count); where its units are is sampled by one server for all (sale_sample, sale_place). No claim waits for either, and nothing is decided by them. A SaleReport puts them beside
// what the rows say, and says which is which.
//
// # Payment
//
// A payment is written down before the provider hears of it, the provider is asked outside of any transaction, and what it answers is written down after
// that; so every payment is asked about until it is known (TendPayments), whoever dies in between. From the moment it is written down the order's units
// come back only when the provider has called it off, or has been silent until 4 s after pay_by. Money that comes after that buys equal
// units in an order that replaces the cancelled one, or goes back.
// A provider that speaks by itself is not believed (PaymentNews), but asked. What it brings up after an order was paid, such as a dispute, is a word on
// the payment (attention), and moves neither units nor states.
//
// # Invariants, and what enforces each
//
//  1. A unit is in exactly one place: stock_token_unit_once, claim_unit_live_once and withdrawal_unit_once, each for one table. That no two
//     tables name a unit follows from how rows move, always out of one DELETE or UPDATE ... RETURNING into the other table in the same
//     statement; the audit checks it (one_place).
//  2. Received = the sum over the places: units are made in the receipt's transaction and never deleted (audit: conservation).
//  3. A transaction moves only along its states: the trigger claim_moves_forward. What was answered is on disk: every answer is given after
//     a synchronous commit (pgdb.Connect), a replay after a WAL record of its own; so is a look at transactions and orders where commits wait for a standby.
//  4. A key binds one transaction: claim_key_once, written in the transaction that takes the units (audit: key_once).
//  5. Nobody has more units of a sale than its purchase limit: sale_buyer counts what each buyer has, beside the limit, and sale_buyer_within_limit
//     holds the one to the other. Whoever takes units or gives them back writes the count in the same transaction (audit: purchase_limit).
//  6. A lapsed hold's units can be claimed at once: a claim that is short of tokens expires lapsed holds, and cancels overdue orders, itself. Expiry is
//     decided by the database's clock, under the row's lock: claim_expired_not_early (audit: hold_expiry). It can't be ordered: claim_ordered_in_time.
//  7. No false refusal: settlement.reckon looks, in one snapshot, when the tokens that can be had are locked, and puts claims back while others
//     can be seen that somebody else has locked. A request of the queue then keeps its place, and everything behind it.
//  8. Accepted before another was sent, settled before it: places are given out under the lock of the queue's tail, which is kept until the
//     commit, so that their order is the order of the commits and a snapshot that shows one place shows all before it; requests are settled in
//     the order of their places under the lock of its head (audit: queue_order).
//
// # Locks, in this order
//
// To accept: tails (in product order), then keys. To settle: tokens that direct claims of products without a queue may get (skipping locked ones), heads (in product order, skipping locked ones), then queued claims (in the order
// of their places: it waits for who cancels one), tokens (by product, pool and position, skipping locked ones), lapsed holds, overdue orders and their lines, and
// the counts of their buyers (skipping locked ones), the counts of the batch's own buyers (new rows in order; those that are there skipping locked ones,
// whose calls are put back), the keys of direct claims, and last the rows that say which pools have run out. Keys are the unique index,
// written in the order of buyer and key.
//
// Everybody else: the key of the call, then the order, then its claims in the order of their ids, then the counts of its one buyer in the order of
// the sales, then lapsed holds, overdue orders and tokens (skipping locked ones), then what has run out (skipping locked ones). Until the counts are had
// its claims are only locked and not written: whoever inserts a claim whose key one of them has waits for a writer, and may have the counts. A sale: its row, then its products in the order of their ids, then tokens.
// An import: the lock of all imports, then its products in the order of their ids.
//
// A repair locks as everybody else does, one repair at a time; of a queue it waits for the tail, then the head, then what is queued.
//
// Events are relayed to webhooks by whoever has the lock of webhook_cursor (it is skipped when somebody has it), which then locks the webhooks in the order of their
// ids. Who sends takes deliveries (skipping locked ones) and commits before the receiver is asked; who sells waits for none of it.
//
// So nobody waits for a token or for a count while they hold one, and nobody who holds a key of a claim waits for anything but keys and what has run out.
package shop
