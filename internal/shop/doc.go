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
//
// A claim deletes stock tokens and writes a claim and, from the DELETE's RETURNING, a claim_unit per unit. A hold that ends marks its
// claim_units as released and writes new tokens at new, higher positions. A unit's own row never changes; its life is read from the rows
// that name it.
//
// # Places of a unit
//
//	available   a stock_token             held, ordered   a claim_unit with released_at NULL
//	withdrawn   a withdrawal_unit
//
// A hold that has lapsed counts as available everywhere that anybody can see, whether or not it was swept.
//
// # States of a transaction
//
//	queued → held | refused | released
//	held   → ordered | released | expired
//
// # Invariants, and what enforces each
//
//  1. A unit is in exactly one place: stock_token_unit_once, claim_unit_live_once and withdrawal_unit_once, each for one table. That no two
//     tables name a unit follows from how rows move, always out of one DELETE or UPDATE ... RETURNING into the other table in the same
//     statement; the audit checks it (one_place).
//  2. Received = the sum over the places: units are made in the receipt's transaction and never deleted (audit: conservation).
//  3. A transaction moves only along its states: the trigger claim_moves_forward. What was answered is on disk: every answer is given after
//     a synchronous commit (pgdb.Connect), a replay after a WAL record of its own.
//  4. A key binds one transaction: claim_key_once, written in the transaction that takes the units (audit: key_once).
//  5. Purchase limits belong to sales.
//  6. A lapsed hold's units can be claimed at once: a claim that is short of tokens expires lapsed holds itself. Expiry is decided by the
//     database's clock, under the row's lock: claim_expired_not_early (audit: hold_expiry).
//  7. No false refusal: settlement.refuse looks after the batch's own claims were written, in one snapshot, and puts claims back while tokens
//     can be seen that somebody else has locked.
//  8. Order of accepted requests belongs to the queue.
//
// # Locks, in this order
//
// Keys (the unique index, in order of buyer and key), then claims (in order of expiry, skipping locked ones, or one by one), then tokens (by
// product, pool and position, skipping locked ones). Nobody waits for a token.
package shop
