package db_test

var (
	aCount = row{"sale_count", map[string]string{
		"sale_id": anID, "at": `now()`, "product_id": `1`, "outcome": `'held'`, "call_count": `2`, "unit_count": `2`, "latencies": `'{}'`,
	}}
	aRehearsal = row{"rehearsal", map[string]string{
		"rehearsal_id": anID, "sale_id": anID, "api_key_id": anID, "own_key_id": anID, "buyer_count": `5`, "status": `'running'`, "started_at": `now()`, "beat_at": `now()`,
	}}
	aPlayed = aRehearsal.but("status", `'finished'`, "report", `'{}'`, "finished_at", `now()`)
	aFailed = aRehearsal.but("status", `'failed'`, "detail", `'d'`, "finished_at", `now()`)
)

// courseBites are bites of what is watched of sales, and of their rehearsals.
var courseBites = map[string][][]string{
	"sale_count_positive": {{aCount.insert("call_count", `0`)}, {aCount.insert("unit_count", `1`)}},

	"rehearsal_buyers_range": {{aRehearsal.insert("buyer_count", `0`)}, {aRehearsal.insert("buyer_count", `5001`)}},
	"rehearsal_status_known": {{aFailed.insert("status", `'lost'`)}},
	"rehearsal_ends":         {{aRehearsal.insert("finished_at", `now()`)}, {aFailed.insert("finished_at", `NULL`)}},
	"rehearsal_finished_with_report": {
		{aPlayed.insert("report", `NULL`)}, {aFailed.insert("report", `'{}'`)}, {aRehearsal.insert("report", `'{}'`)},
	},
	"rehearsal_failed_for_a_reason": {{aFailed.insert("detail", `NULL`)}},
	"rehearsal_one_at_once":         {{aPlayed.insert(), aPlayed.insert(), aFailed.insert(), aFailed.insert(), aRehearsal.insert(), aRehearsal.insert()}},
}
