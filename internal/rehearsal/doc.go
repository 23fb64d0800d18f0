// Package rehearsal plays a flash sale over HTTP against a running service and judges what came of it: did every unit go
// to exactly one buyer, did everybody get a true answer, and does the database say the same as the answers did?
//
// It stands where a client stands. It knows the service through its documented HTTP interface only and imports none of its
// packages, so that a mistake in the service cannot hide here too. The one thing that it knows besides is a shop of its own
// that reads the stock and then writes it (naive.go), to show on the same PostgreSQL what the service is for.
//
// A case runs in five steps: stock a product that is marked as a rehearsal, connect every buyer, release all of them at
// once (or at a rate), judge, remove the product.
//
// A planned sale (sale.go) is played in the same steps: a copy of the sale, on copies of its products, is opened when all buyers are connected, and each
// product is judged like a case.
//
// Buyers ask directly, through the queue, or half of them each way (Mode). What a queued buyer sees, from the 202 to the
// outcome, is kept with the instants at which it asked and was answered, by one clock. From that the judge concludes what
// the database alone can't tell: that everything accepted was answered, once, by a transaction that never went back, and
// that what was accepted before somebody else asked was settled before (judge_queue.go says when that can be concluded).
package rehearsal
