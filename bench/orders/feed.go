package main

import (
	"context"
	"net/url"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/bench/driven"
)

// feed reads all events by their cursor, from the first on, while they come. It is used by one goroutine after the other.
type feed struct {
	cursor string
	ids    []string
	broken string
}

// read reads a page and tells how many events were on it.
func (f *feed) read(c *shopper) int {
	var page struct {
		Items []struct {
			ID string `json:"id"`
		} `json:"items"`
		NextCursor string `json:"next_cursor"`
	}
	path := "/api/v1/events?limit=100"
	if f.cursor != "" {
		path += "&cursor=" + url.QueryEscape(f.cursor)
	}
	if err := c.ask(&page, "GET", path, "", "", ""); err != nil {
		if c.ctx.Err() == nil {
			f.broken = err.Error()
		}
		return 0
	}
	for _, e := range page.Items {
		f.ids = append(f.ids, e.ID)
	}
	f.cursor = page.NextCursor
	return len(page.Items)
}

// follow reads until ctx ends.
func (f *feed) follow(ctx context.Context, s *driven.Service) {
	c := newShopper(ctx, s, &counters{})
	defer c.close()
	for ctx.Err() == nil && f.broken == "" {
		if f.read(c) < 100 {
			driven.Pause(ctx, 20*time.Millisecond)
		}
	}
}

// check reads on to the end and holds what was read against what was in the database before: everything once, and in its order.
func (f *feed) check(ctx context.Context, s *driven.Service, db querier, v *verdict) error {
	rows, err := db.Query(ctx, `SELECT event_id::text FROM event WHERE position IS NOT NULL ORDER BY position`)
	if err != nil {
		return err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	c := newShopper(ctx, s, &counters{})
	defer c.close()
	for f.read(c) > 0 {
	}
	if f.broken != "" {
		v.Add("the events could not be read: %s", f.broken)
	}
	v.findings = append(v.findings, checkFeed(f.ids, ids)...)
	v.say("events", "%d, read while they came", len(ids))
	return nil
}

// checkFeed finds events that a reader has missed, has read twice or in another order than that of their positions. What was read besides is newer.
func checkFeed(read, there []string) (f findings) {
	for i, is := range there {
		if i >= len(read) || read[i] != is {
			f.Add("event %d of %d, %s, was not read in its turn; %d were read", i, len(there), is, len(read))
			break
		}
	}
	return f
}
