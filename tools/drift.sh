#!/bin/sh
# Compares what is generated and committed with what it is generated from. Exits 1 and shows the difference where there is one.
set -u
cd "$(dirname "$0")/.." || exit 1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
drifted=0

# Whatever sqlc would write, and nothing that it would not: a query's file that has gone leaves no code behind.
mkdir "$scratch/db"
cp -R sqlc.yaml queries "$scratch" && cp -R db/migrations "$scratch/db"
go tool -modfile=tools/go.mod sqlc generate -f "$scratch/sqlc.yaml" && diff -ru internal/dbsqlc "$scratch/internal/dbsqlc" || drifted=1

for written in openapi:openapi.yaml config:config.example.yml; do
	file=${written#*:}
	go run ./cmd/lastunit "${written%%:*}" >"$scratch/$file" && diff -u "$file" "$scratch/$file" || drifted=1
done

# Both from the committed document: that it is the code's was compared above.
node tools/postman/make.mjs "$scratch/postman" && diff -ru docs/postman "$scratch/postman" || drifted=1
node tools/client/make.mjs "$scratch/client" && diff -ru web/client/src/generated "$scratch/client" || drifted=1
npm run --silent --prefix web/pages build -- --logLevel warn --outDir "$scratch/dist" && diff -ru web/dist "$scratch/dist" || drifted=1

go mod tidy -diff || drifted=1

[ $drifted = 0 ] && echo "nothing has drifted" || echo "run: make generate (and go mod tidy)" >&2
exit $drifted
