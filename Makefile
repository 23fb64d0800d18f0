# The few commands people type. `make` alone lists them.

GO_LINT = go tool -modfile=$(CURDIR)/tools/golangci-lint/go.mod golangci-lint
need = @tools/prerequisites.sh
node_modules = tools/node_modules/.package-lock.json
web_modules = web/node_modules/.package-lock.json

.PHONY: help demo test rehearse torture alerts bench pgbench bench-claims bench-queue bench-orders build client pages screenshots page-figures lint lint-code lint-document lint-migrations sizes generate postman check

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

demo: ## run a shop with a small catalogue, on a PostgreSQL of its own; it prints how to buy
	$(need) go postgresql
	@go build -o bin/lastunit ./cmd/lastunit
	@exec bin/lastunit demo --metrics-listen 127.0.0.1:9464 $(ARGS)

test: $(node_modules) $(web_modules) ## run every test, with the race detector; the last line is the count
	$(need) go cc postgresql node chromium
	@go -C tools build -o ../bin/testcount ./testcount
	@exec bin/testcount . tools -- -race -timeout 20m $(ARGS) ./...

rehearse: ## play the 12.12 event against a service that it starts; ARGS="--buyers 5000" and the like go with it
	$(need) go postgresql
	@go build -o bin/lastunit ./cmd/lastunit
	@exec bin/lastunit rehearse $(ARGS)

bench: ## measure claims against what others would use, and write bench/results.json and .svg (a quarter of an hour); ARGS="-rounds 1" and the like
	$(need) go postgresql redis
	@go build -o bin/bench-claims ./bench/claims
	@exec bin/bench-claims compare -results bench/results.json $(ARGS)

pgbench: ## run the statements without the service, and those of contenders; URL=postgres://... (it deletes everything in it), ARGS="32 10" (clients, seconds)
	$(need) postgresql
	@bench/pgbench.sh "$(URL)" $(ARGS)
	@bench/contenders.sh "$(URL)" $(ARGS)

bench-claims: ## hold one property of claims against its target; ARGS="grows", "receipt", "audit", "report", "import", "waiting", "open", "metrics", "viewers" or "durable" with their flags
	$(need) go postgresql
	@go build -o bin/bench-claims ./bench/claims
	@exec bin/bench-claims $(ARGS)

bench-queue: ## run the queue from outside and check what clients saw; ARGS="order", "faults", "retries", "latency" or "events" with their flags
	$(need) go postgresql
	@go build -o bin/bench-queue ./bench/queue
	@exec bin/bench-queue $(ARGS)

bench-orders: ## run carts, orders and payments from outside and check the books; ARGS="faults", "limit", "carts", "hoard" or "export" with their flags
	$(need) go postgresql
	@go build -o bin/bench-orders ./bench/orders
	@exec bin/bench-orders $(ARGS)

torture: ## break lastunit on purpose for an hour, and check what it answered (docs/proof.md); ARGS="-for 5m" and the like
	$(need) go postgresql
	@go build -o bin/torture ./cmd/torture
	@exec bin/torture run -for 1h -round 1m -clock $(ARGS)

alerts: ## make alerts fire by their real causes, and have what docs/operate.md says mend them (four minutes)
	$(need) go postgresql prometheus
	@go test -v -count 1 -parallel 4 -tags alerts ./internal/torture/alerts

build: ## build bin/lastunit
	$(need) go
	go build -trimpath -o bin/lastunit ./cmd/lastunit

client: $(node_modules) $(web_modules) ## write web/client/src/generated, the TypeScript client, from openapi.yaml and build its package
	$(need) node
	node tools/client/make.mjs
	npm run --silent --prefix web/client build

pages: $(web_modules) ## write web/dist, the storefront and the desk, from web/pages
	$(need) node
	npm run --silent --prefix web/pages build -- --logLevel warn

screenshots: $(web_modules) ## take docs/screenshots, a picture of each state of the pages
	$(need) go postgresql node chromium
	go test -count 1 -tags looks -timeout 30m -run TestScreenshots ./web

page-figures: $(web_modules) ## print the sizes of the pages, their first paint, and what axe finds in each state
	$(need) go postgresql node chromium
	@go test -v -count 1 -tags looks -timeout 30m -run TestPageFigures ./web

lint: lint-code lint-document lint-migrations ## hold the code, the API's document and new migrations to the house rules (the first run builds the linter: minutes)

lint-code:
	$(need) go
	@code=0; for module in . tools; do (cd $$module && $(GO_LINT) run ./...) || code=1; done; exit $$code

lint-document: $(node_modules)
	$(need) node
	tools/node_modules/.bin/spectral lint --fail-severity=warn openapi.yaml

lint-migrations: $(node_modules)
	$(need) node
	tools/migrations.sh

sizes: ## list the functions and files that have grown long: a smell, not an error
	$(need) go
	$(GO_LINT) run --enable-only=funlen,revive --issues-exit-code=0 ./...

generate: $(node_modules) $(web_modules) ## write anew what is generated: the queries' code, openapi.yaml, config.example.yml, docs/postman, the client, the pages
	$(need) go node
	go tool -modfile=tools/go.mod sqlc generate
	go run ./cmd/lastunit openapi > openapi.yaml.new && mv openapi.yaml.new openapi.yaml
	go run ./cmd/lastunit config > config.example.yml.new && mv config.example.yml.new config.example.yml
	node tools/postman/make.mjs
	node tools/client/make.mjs
	npm run --silent --prefix web/pages build -- --logLevel warn

postman: $(node_modules) ## write docs/postman, the Postman collection and its environment, from openapi.yaml
	$(need) node
	node tools/postman/make.mjs

check: $(node_modules) $(web_modules) ## say whether what is generated has drifted from what it is generated from
	$(need) go node
	@tools/drift.sh

# What tools/package.json and web/package.json ask for, installed anew when the lock file has changed.
%/node_modules/.package-lock.json: %/package-lock.json
	$(need) node
	npm ci --prefix $*
	@touch $@
