package db_test

const (
	webhookRow  = `INSERT INTO webhook (webhook_id, url, event_types, description, enabled, disabled_reason, created_at) VALUES `
	oneWebhook  = webhookRow + `(` + oneID + `, 'u', '{}', '', true, NULL, now())`
	secretRow   = `INSERT INTO webhook_secret (webhook_secret_id, webhook_id, secret, created_at, expires_at) VALUES `
	deliveryRow = `INSERT INTO webhook_delivery (webhook_delivery_id, webhook_id, event_id, event_type, asked_for, status, due_at, created_at) VALUES `
	attemptRow  = `INSERT INTO webhook_attempt (webhook_delivery_id, attempt, response_status, response_body, error, took_ms, attempted_at) VALUES `
)

// webhookBites are bites of webhooks and what is sent to them.
var webhookBites = map[string][][]string{
	"webhook_reason_of_disabled": {{webhookRow + `(` + anID + `, 'u', '{}', '', true, 'gone', now())`}},
	"webhook_secret_of_webhook":  {{secretRow + `(` + anID + `, ` + oneID + `, 's', now(), NULL)`}},
	"webhook_secret_current_once": {{
		oneWebhook,
		secretRow + `(` + anID + `, ` + oneID + `, 's', now(), NULL)`,
		secretRow + `(` + anID + `, ` + oneID + `, 't', now(), now())`,
		secretRow + `(` + anID + `, ` + oneID + `, 'u', now(), NULL)`,
	}},
	"webhook_delivery_of_webhook":   {{deliveryRow + `(` + anID + `, ` + oneID + `, ` + anID + `, 'e', false, 'pending', now(), now())`}},
	"webhook_delivery_status_known": {{oneWebhook, deliveryRow + `(` + anID + `, ` + oneID + `, ` + anID + `, 'e', false, 'lost', NULL, now())`}},
	"webhook_delivery_due_while_pending": {
		{oneWebhook, deliveryRow + `(` + anID + `, ` + oneID + `, ` + anID + `, 'e', false, 'pending', NULL, now())`},
		{oneWebhook, deliveryRow + `(` + anID + `, ` + oneID + `, ` + anID + `, 'e', false, 'delivered', now(), now())`},
	},
	"webhook_delivery_once": {{
		oneWebhook,
		deliveryRow + `(` + anID + `, ` + oneID + `, ` + oneID + `, 'e', false, 'delivered', NULL, now())`,
		deliveryRow + `(` + anID + `, ` + oneID + `, ` + oneID + `, 'e', true, 'pending', now(), now())`, // a replay
		deliveryRow + `(` + anID + `, ` + oneID + `, ` + oneID + `, 'e', false, 'pending', now(), now())`,
	}},
	"webhook_attempt_of_delivery": {{attemptRow + `(` + anID + `, 1, 200, '', NULL, 1, now())`}},
	"webhook_attempt_answer_or_error": {{
		oneWebhook,
		deliveryRow + `(` + oneID + `, ` + oneID + `, ` + anID + `, 'e', false, 'pending', now(), now())`,
		attemptRow + `(` + oneID + `, 1, NULL, '', NULL, 1, now())`,
	}},
	"webhook_cursor_only_row": {{`INSERT INTO webhook_cursor (only_row, position) VALUES (false, 0)`}},
}
