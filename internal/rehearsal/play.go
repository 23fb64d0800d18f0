package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
)

// player plays one case.
type player struct {
	Case
	manners
	options  Options
	operator *operator
	servers  []*server
	bar      *progress
}

// play returns an error when the case could not be played to its end; then nothing is judged. Its product is removed in
// any case, also after the context has ended.
func (p *player) play(ctx context.Context, naive *naiveShop) (played *CaseReport, err error) {
	var apology *NaiveReport
	if naive != nil {
		if apology, err = p.playNaive(ctx, naive); err != nil {
			return nil, fmt.Errorf("naive shop: %w", err)
		}
	}

	// SKUs are random so that two rehearsals never meet.
	sku := fmt.Sprintf("rehearsal-%s-%d", strings.ReplaceAll(uuid.NewString(), "-", "")[:12], p.Buyers)
	if !p.options.Keep {
		defer func() {
			limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.cleanupLimit)
			defer cancel()
			removing := p.operator.removeProduct(limited, sku)
			switch {
			case removing == nil:
			case played == nil:
				err = errors.Join(err, fmt.Errorf("product %s is still there: %w", sku, removing))
			default:
				played.Broken = append(played.Broken, fmt.Sprintf("the product %s could not be removed: %v", sku, removing))
			}
		}()
	}
	if err := p.operator.stockProduct(ctx, sku, p.Stock); err != nil {
		return nil, err
	}
	o := p.options
	answers, released, err := p.send(ctx, p.servers, errand{skus: []string{sku}, key: o.Key, rate: o.Rate, mode: o.Mode, poll: o.Poll})
	if err != nil {
		return nil, err
	}
	seen := p.verify(ctx, sku, answers)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	played = p.report(sku, seen)
	played.Naive = apology
	played.Course = courseOf(answers, p.Stock, released)
	played.Broken = judge(p.Case, seen)
	return played, nil
}

// send connects a crowd, releases it and returns its answers, and when it was released.
func (p *player) send(ctx context.Context, servers []*server, e errand) ([]answer, time.Time, error) {
	all, err := newCrowd(p.Case, p.manners, servers, e, p.bar)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer all.close()
	if err := all.connect(ctx); err != nil {
		return nil, time.Time{}, err
	}
	if e.opens != nil {
		if err := e.opens(ctx); err != nil {
			return nil, time.Time{}, err
		}
	}
	answers := all.fire(ctx)
	if ctx.Err() != nil {
		return nil, time.Time{}, context.Cause(ctx)
	}
	return answers, all.released, nil
}

// evidence is everything that the verdict on a case rests on.
type evidence struct {
	answers []answer
	places  *Places
	stored  []lookup // for each answer that has a transaction, in the same order
	audit   *audit
	faults  []string // what could not be looked at
	limit   int      // units that one buyer may have; 0: any number
}

// lookup is what the database says about an answer.
type lookup struct {
	answer answer
	found  *transaction
	err    error
}

// verify asks the service for everything that it said to be so.
func (p *player) verify(ctx context.Context, sku string, answers []answer) evidence {
	seen := evidence{answers: answers}
	for _, a := range answers {
		if a.transactionID() != "" {
			seen.stored = append(seen.stored, lookup{answer: a})
		}
	}
	p.bar.begin("checking", len(seen.stored)+2)
	var group errgroup.Group
	group.SetLimit(lookupsAtOnce)
	for i := range seen.stored {
		group.Go(func() error {
			l := &seen.stored[i]
			l.found, l.err = p.operator.transaction(ctx, l.answer.home, l.answer)
			p.bar.step()
			return nil
		})
	}
	_ = group.Wait() // each lookup keeps its own error
	var err error
	if seen.places, err = p.operator.places(ctx, sku); err != nil {
		seen.faults = append(seen.faults, fmt.Sprintf("the stock could not be read: %v", err))
	}
	p.bar.step()
	if seen.audit, err = p.operator.audit(ctx, sku); err != nil {
		seen.faults = append(seen.faults, fmt.Sprintf("the audit could not be run: %v", err))
	}
	p.bar.step()
	return seen
}
