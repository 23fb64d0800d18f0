package main

import (
	"context"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/lastunit/lastunit/internal/lane"
	"github.com/lastunit/lastunit/internal/pgdb"
	"github.com/lastunit/lastunit/internal/shop"
)

// claimScript decides any number of claims, one after the other: a key that is bound answers with the claim that it is bound to; else the stock goes down,
// the buyer's claim and the key are remembered, and the claim is appended to a stream, for whoever writes it down elsewhere.
var claimScript = redis.NewScript(`
local answers = {}
for i = 1, #ARGV, 5 do
	local id, buyer, key, sku, n = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], tonumber(ARGV[i + 4])
	local bound = redis.call('GET', 'key:' .. buyer .. ':' .. key)
	if bound then
		answers[#answers + 1] = bound
	else
		local left = tonumber(redis.call('GET', 'stock:' .. sku) or '0')
		if left < n then
			answers[#answers + 1] = ''
		else
			redis.call('DECRBY', 'stock:' .. sku, n)
			redis.call('SET', 'key:' .. buyer .. ':' .. key, id)
			redis.call('HSET', 'cart:' .. buyer, id, sku .. ' ' .. n)
			redis.call('XADD', 'claims', '*', 'id', id, 'buyer', buyer, 'sku', sku, 'quantity', n)
			answers[#answers + 1] = id
		end
	end
end
return answers`)

// keyedClaim is a claim with the id that it gets, if its key is new.
type keyedClaim struct {
	shop.ClaimRequest
	id shop.ID
}

func runScript(ctx context.Context, client *redis.Client, claims []keyedClaim) ([]any, error) {
	args := make([]any, 0, 5*len(claims))
	for _, c := range claims {
		args = append(args, c.id.String(), c.Buyer, c.Key, c.SKU, strconv.Itoa(c.Quantity))
	}
	return claimScript.Run(ctx, client, nil, args...).Slice()
}

// decided makes the answer to a claim of what the script said of it.
func (c keyedClaim) decided(answer any, now time.Time) (shop.Claimed, error) {
	id, _ := answer.(string)
	if id == "" {
		return shop.Claimed{}, errSoldOut
	}
	bound, err := pgdb.ParseID(id)
	claimed := held(c.ClaimRequest, bound, now)
	claimed.Replayed = bound != c.id
	return claimed, err
}

func redisPerRequest(at stores) claimer {
	return func(ctx context.Context, r shop.ClaimRequest) (shop.Claimed, error) {
		c := keyedClaim{r, pgdb.NewID()}
		answers, err := runScript(ctx, at.redis, []keyedClaim{c})
		if err != nil {
			return shop.Claimed{}, err
		}
		return c.decided(answers[0], time.Now())
	}
}

// behindLane puts what settles a batch behind the lane that the shop has, with its bounds.
func behindLane(settle func(ctx context.Context, claims []keyedClaim, next func()) ([]lane.Answer[shop.Claimed], error)) claimer {
	lanes := lane.New(lane.Config{Workers: 4, BatchCalls: 512, BatchKeys: 128, Waiting: 20000},
		func(ctx context.Context, batch []lane.Call[string, keyedClaim], next func()) []lane.Answer[shop.Claimed] {
			claims := make([]keyedClaim, len(batch))
			for i, c := range batch {
				claims[i] = c.In
			}
			answers, err := settle(ctx, claims, next)
			if err != nil {
				answers = make([]lane.Answer[shop.Claimed], len(batch))
				for i := range answers {
					answers[i].Err, answers[i].Again = err, pgdb.ViolatesConstraint(err, "claim_key_once")
				}
			}
			return answers
		})
	return func(ctx context.Context, r shop.ClaimRequest) (shop.Claimed, error) {
		return lanes.Do(ctx, r.SKU, keyedClaim{r, pgdb.NewID()})
	}
}

func redisBehindLane(at stores) claimer {
	return behindLane(func(ctx context.Context, claims []keyedClaim, _ func()) ([]lane.Answer[shop.Claimed], error) {
		decided, err := runScript(ctx, at.redis, claims)
		if err != nil {
			return nil, err
		}
		now := time.Now()
		answers := make([]lane.Answer[shop.Claimed], len(claims))
		for i, c := range claims {
			answers[i].Out, answers[i].Err = c.decided(decided[i], now)
		}
		return answers, nil
	})
}
