// Package migrations is the one description of the schema: goose migrations in SQL, named for what they do.
package migrations

import "embed"

// FS holds the migrations, to be applied in the order of their numbers.
//
//go:embed *.sql
var FS embed.FS
