package db_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	locks     = regexp.MustCompile(`\bFOR (NO KEY UPDATE|UPDATE|KEY SHARE|SHARE)\b`)
	limits    = regexp.MustCompile(`\b(LIMIT|FETCH (FIRST|NEXT))\b`)
	orders    = regexp.MustCompile(`\bORDER BY\b`)
	compared  = regexp.MustCompile(`(\bIN|\bANY|\bALL|\bSOME|\bEXISTS|\bARRAY|=|<|>)$`)
	lateral   = regexp.MustCompile(`\bLATERAL$`)
	onceOnly  = regexp.MustCompile(`\bAS MATERIALIZED$`)
	texts     = regexp.MustCompile(`'[^']*'`)
	remarks   = regexp.MustCompile(`--[^\n]*`)
	spaces    = regexp.MustCompile(`\s+`)
	queryName = regexp.MustCompile(`(?m)^-- name: (\w+) :\w+$`)
)

// block is what stands between two parentheses, or a whole statement; what is in parentheses inside it are its inner blocks.
type block struct {
	before string // what stands before the parenthesis
	text   string // without that of the inner blocks
	inner  []*block
}

// parse reads a statement without texts and remarks, in which parentheses are balanced.
func parse(sql string) *block {
	sql = spaces.ReplaceAllString(remarks.ReplaceAllString(texts.ReplaceAllString(sql, "''"), ""), " ")
	root := &block{}
	open := []*block{root}
	for _, r := range sql {
		current := open[len(open)-1]
		switch r {
		case '(':
			b := &block{before: strings.TrimSpace(current.text)}
			current.inner = append(current.inner, b)
			open = append(open, b)
		case ')':
			open = open[:max(1, len(open)-1)]
			open[len(open)-1].text += "()"
		default:
			current.text += string(r)
		}
	}
	return root
}

// faults tells what is dangerous about the row locks in b. The planner may run a sub-select once for each row that it is compared
// with, and each run locks and takes LIMIT more rows: so a lock stands in a statement of its own, or where it is run once.
func (b *block) faults(within []*block) (found []string) {
	path := append(slices.Clone(within), b)
	if locks.MatchString(b.text) {
		once := len(path) == 1
		for i, p := range path[1:] {
			switch {
			case compared.MatchString(p.before):
				found = append(found, "a row lock in a sub-select that is compared with something")
			case onceOnly.MatchString(p.before):
				once = true
			case lateral.MatchString(p.before) && i > 0 && onceOnly.MatchString(path[i].before):
			default:
				once = false
			}
		}
		if !once {
			found = append(found, "a row lock that is neither in a statement of its own nor in a MATERIALIZED CTE")
		}
		if limits.MatchString(b.text) && !orders.MatchString(b.text) {
			found = append(found, "a LIMIT under a row lock without ORDER BY")
		}
	}
	for _, inner := range b.inner {
		found = append(found, inner.faults(path)...)
	}
	return found
}

func TestNoQueryLocksMoreThanItsLimit(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../queries/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("no queries: %v", err)
	}
	picking := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		names := queryName.FindAllStringSubmatchIndex(string(text), -1)
		for i, at := range names {
			end := len(text)
			if i+1 < len(names) {
				end = names[i+1][0]
			}
			sql := string(text[at[1]:end])
			if strings.Contains(sql, "SKIP LOCKED") {
				picking++
			}
			for _, fault := range parse(sql).faults(nil) {
				t.Errorf("%s: %s: %s", filepath.Base(file), text[at[2]:at[3]], fault)
			}
		}
	}
	if picking < 3 {
		t.Errorf("%d queries with SKIP LOCKED were looked at, want those that pick tokens, withdraw and look for lapsed holds", picking)
	}
}

func TestTheLintFindsDangerousLocks(t *testing.T) {
	t.Parallel()
	const pick = `SELECT id FROM stock_token WHERE product_id = @p ORDER BY position LIMIT 1 FOR UPDATE SKIP LOCKED`
	for sql, dangerous := range map[string]bool{
		pick: false,
		`WITH picked AS MATERIALIZED (` + pick + `) DELETE FROM stock_token USING picked WHERE stock_token.id = picked.id`:                                false,
		`WITH picked AS MATERIALIZED (SELECT t.id FROM wanted CROSS JOIN LATERAL (` + pick + `) AS t) SELECT id FROM picked`:                              false,
		`SELECT id FROM product WHERE sku = @sku FOR NO KEY UPDATE`:                                                                                       false,
		`SELECT id FROM product WHERE id IN (SELECT id FROM claim LIMIT 1)`:                                                                               false,
		`SELECT 'FOR UPDATE' FROM claim LIMIT 1 -- FOR UPDATE`:                                                                                            false,
		`DELETE FROM stock_token WHERE id IN (` + pick + `)`:                                                                                              true,
		`DELETE FROM stock_token WHERE id = (` + pick + `)`:                                                                                               true,
		`DELETE FROM stock_token WHERE id = ANY(` + pick + `)`:                                                                                            true,
		`DELETE FROM stock_token WHERE id = ANY(ARRAY(` + pick + `))`:                                                                                     true,
		`UPDATE stock_token SET x = 1 WHERE EXISTS (` + pick + `)`:                                                                                        true,
		`UPDATE stock_token SET x = 1 FROM (` + pick + `) AS picked WHERE stock_token.id = picked.id`:                                                     true,
		`DELETE FROM stock_token WHERE id IN (SELECT p.id FROM (` + pick + `) AS p)`:                                                                      true,
		`DELETE FROM stock_token WHERE id IN (WITH picked AS MATERIALIZED (` + pick + `) SELECT id FROM picked)`:                                          true,
		`WITH picked AS (` + pick + `) DELETE FROM stock_token USING picked WHERE stock_token.id = picked.id`:                                             true,
		`WITH picked AS NOT MATERIALIZED (` + pick + `) SELECT id FROM picked`:                                                                            true,
		`SELECT t.id FROM wanted CROSS JOIN LATERAL (` + pick + `) AS t`:                                                                                  true,
		`WITH picked AS MATERIALIZED (SELECT id FROM stock_token LIMIT 1 FOR UPDATE SKIP LOCKED) SELECT id FROM picked`:                                   true,
		`SELECT id FROM stock_token LIMIT 1 FOR UPDATE`:                                                                                                   true,
		`WITH picked AS MATERIALIZED (SELECT id FROM (SELECT id FROM stock_token ORDER BY id) AS s LIMIT 1 FOR UPDATE SKIP LOCKED) SELECT id FROM picked`: true,
		`SELECT id FROM stock_token FETCH FIRST 1 ROW ONLY FOR NO KEY UPDATE`:                                                                             true,
		`DELETE FROM stock_token WHERE id NOT IN (SELECT id FROM claim FOR SHARE)`:                                                                        true,
	} {
		if found := parse(sql).faults(nil); (len(found) > 0) != dangerous {
			t.Errorf("%s: found %q", sql, found)
		}
	}
}
