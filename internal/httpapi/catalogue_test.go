package httpapi_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/lastunit/lastunit/internal/httpapi"
	"github.com/lastunit/lastunit/internal/shop"
)

func put(key, sku, body string) request {
	return request{method: "PUT", path: "/api/v1/products/" + sku, token: key, body: body}
}

func get(path string) request { return request{method: "GET", path: path} }

func TestPutProduct(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := w.key(t, shop.ScopeCatalog)
	text := `{"name": "Blue <mug> ☕", "description": "It is blue.", "price": {"amount": 1250, "currency": "EUR"},
		"image_url": "/mug.png", "attributes": {"colour": "blue", "sizes": [1, 2.50, null], "deep": {"er": true}}}`
	var made, replaced, read httpapi.Product
	w.send(t, put(key, "mug", text)).into(t, 201, &made)
	w.send(t, put(key, "mug", text)).into(t, 200, &replaced)
	w.send(t, get("/api/v1/products/mug")).into(t, 200, &read)
	if replaced.UpdatedAt.Before(made.UpdatedAt) {
		t.Errorf("updated_at went back from %v to %v", made.UpdatedAt, replaced.UpdatedAt)
	}
	made.UpdatedAt = replaced.UpdatedAt
	if !reflect.DeepEqual(made, replaced) || !reflect.DeepEqual(replaced, read) {
		t.Errorf("made %+v, replaced %+v, read %+v", made, replaced, read)
	}
	sameJSON(t, made.Attributes, `{"colour": "blue", "sizes": [1, 2.50, null], "deep": {"er": true}}`)
	if made.SKU != "mug" || *made.Name != "Blue <mug> ☕" || *made.Description != "It is blue." || *made.ImageURL != "/mug.png" ||
		*made.Price != (httpapi.Money{Amount: 1250, Currency: "EUR"}) || !made.Selling || made.Rehearsal {
		t.Errorf("made %+v", made)
	}

	var bare httpapi.Product
	w.send(t, put(key, "mug", `{"price": null, "name": null, "attributes": null, "selling": null}`)).into(t, 200, &bare)
	if bare.Name != nil || bare.Description != nil || bare.Price != nil || bare.ImageURL != nil || !bare.Selling {
		t.Errorf("what was not sent is still there: %+v", bare)
	}
	sameJSON(t, bare.Attributes, `{}`)
}

func sameJSON(t *testing.T, got json.RawMessage, want string) {
	t.Helper()
	var g, w any
	if err := json.Unmarshal(got, &g); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(g, w) {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestAttributes: they mean nothing to us, so nothing may happen to them.
func TestAttributes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := w.key(t, shop.ScopeCatalog)
	for name, attributes := range map[string]string{
		"empty":                  `{}`,
		"deep":                   `{"a":` + strings.Repeat(`[`, 98) + `1` + strings.Repeat(`]`, 98) + `}`,
		"names in other letters": `{"name": 1, "Name": 2, "NAME": 3}`,
		"names that are odd":     `{"": 1, " ": 2, "\u2028": 3, "a.b": 4, "\"": 5}`,
		"all planes":             `{"text": "ä☕🫖\u0001\u007f \ud83e\uded6"}`,
	} {
		var p httpapi.Product
		if a := w.send(t, put(key, "mug", `{"attributes": `+attributes+`}`)); a.status > 201 {
			t.Errorf("%s: got %d %s", name, a.status, a.body)
			continue
		}
		w.send(t, get("/api/v1/products/mug")).into(t, 200, &p)
		sameJSON(t, p.Attributes, attributes)
	}
	for name, number := range map[string]string{
		"an id of 64 bits": "9007199254740993", "many digits": "123456789012345678901234567890", "a price": "19.90", "small": "0.1",
	} {
		w.send(t, put(key, "mug", `{"attributes": {"n": `+number+`}}`)).into(t, 200, nil)
		var p httpapi.Product
		w.send(t, get("/api/v1/products/mug")).into(t, 200, &p)
		var n struct{ N json.Number }
		if err := json.Unmarshal(p.Attributes, &n); err != nil || n.N.String() != number {
			t.Errorf("%s: %s came back as %s (%v)", name, number, p.Attributes, err)
		}
	}
}

// TestPictures: of this service, or by https; they are shown as they were named.
func TestPictures(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := w.key(t, shop.ScopeCatalog)
	for i, good := range []string{"https://pictures.example/mug.png?w=300#top", "/pictures/mug.png", "/p%C3%BC.png?v=2"} {
		var made httpapi.Product
		if w.send(t, put(key, "mug-seen", `{"image_url": "`+good+`"}`)).into(t, []int{201, 200, 200}[i], &made); made.ImageURL == nil || *made.ImageURL != good {
			t.Errorf("the picture %s is shown as %+v", good, made)
		}
	}
}

func TestBadProducts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := w.key(t, shop.ScopeCatalog)
	for name, bad := range map[string]struct{ sku, body, where string }{
		"malformed SKU":                 {"a%20b", `{}`, "path.sku"},
		"SKU with a slash":              {"a%2Fb", `{}`, "path.sku"},
		"SKU with a NUL":                {"a%00b", `{}`, "path.sku"},
		"SKU of 65 characters":          {strings.Repeat("s", 65), `{}`, "path.sku"},
		"NUL in the name":               {"mug", `{"name": "a\u0000b"}`, "body"},
		"NUL in the attributes":         {"mug", `{"attributes": {"a": "\u0000"}}`, "body"},
		"NUL in an attribute's name":    {"mug", `{"attributes": {"\u0000": 1}}`, "body"},
		"NUL in the description":        {"mug", `{"description": "\u0000"}`, "body"},
		"NUL in the picture":            {"mug", `{"image_url": "/\u0000"}`, "body"},
		"picture that is no URL":        {"mug", `{"image_url": "http://[` + canary + `"}`, "body.image_url"},
		"picture that is a script":      {"mug", `{"image_url": "javascript:alert(1)"}`, "body.image_url"},
		"picture as data":               {"mug", `{"image_url": "data:image/png;base64,AAAA"}`, "body.image_url"},
		"picture without TLS":           {"mug", `{"image_url": "http://pictures.example/mug.png"}`, "body.image_url"},
		"picture of another host":       {"mug", `{"image_url": "//pictures.example/mug.png"}`, "body.image_url"},
		"picture of another, in hiding": {"mug", `{"image_url": "/\\pictures.example/mug.png"}`, "body.image_url"},
		"picture with a password":       {"mug", `{"image_url": "https://me:secret@pictures.example/mug.png"}`, "body.image_url"},
		"picture beside the page":       {"mug", `{"image_url": "mug.png"}`, "body.image_url"},
		"picture that is empty":         {"mug", `{"image_url": ""}`, "body.image_url"},
		"name of 201 characters":        {"mug", `{"name": "` + strings.Repeat("ü", 201) + `"}`, "body.name"},
		"description that is long":      {"mug", `{"description": "` + strings.Repeat("d", 5001) + `"}`, "body.description"},
		"price below 0":                 {"mug", `{"price": {"amount": -1, "currency": "EUR"}}`, "body.price.amount"},
		"price with a fraction":         {"mug", `{"price": {"amount": 1.5, "currency": "EUR"}}`, "body.price.amount"},
		"price that is too large":       {"mug", `{"price": {"amount": 9007199254740993, "currency": "EUR"}}`, "body.price.amount"},
		"price without currency":        {"mug", `{"price": {"amount": 1}}`, "body.price"},
		"price without amount":          {"mug", `{"price": {"currency": "EUR"}}`, "body.price"},
		"currency in small letters":     {"mug", `{"price": {"amount": 1, "currency": "eur"}}`, "body.price.currency"},
		"price as a number":             {"mug", `{"price": 12.50}`, "body.price"},
		"attributes as a list":          {"mug", `{"attributes": [1]}`, "body.attributes"},
		"attributes that nest deeply":   {"mug", `{"attributes": {"a":` + strings.Repeat(`[`, 7000) + strings.Repeat(`]`, 7000) + `}}`, "body"},
		"attributes with a name twice":  {"mug", `{"attributes": {"a": 1, "a": 2}}`, "body"},
		"number that is too large":      {"mug", `{"attributes": {"a": 1e400}}`, "body"},
		"number that is too long":       {"mug", `{"attributes": {"a": ` + strings.Repeat("9", 400) + `}}`, "body"},
		"number that is too small":      {"mug", `{"attributes": {"a": 1e-99999}}`, "body"},
		"selling as text":               {"mug", `{"selling": "` + canary + `"}`, "body.selling"},
		"unknown property":              {"mug", `{"available": 7}`, "body.available"},
		"array":                         {"mug", `[]`, "body"},
	} {
		t.Run(name, func(t *testing.T) {
			p := w.send(t, put(key, bad.sku, bad.body)).refused(t, 422, "validation")
			if len(p.Errors) == 0 || p.Errors[0].Location != bad.where {
				t.Errorf("errors are %v, want one for %s", p.Errors, bad.where)
			}
		})
	}
	w.send(t, put(key, "mug", `{"description": "`+strings.Repeat("d", 17000)+`"}`)).refused(t, 413, "payload-too-large")
	if n := w.count(t, "SELECT count(*) FROM product"); n != 0 {
		t.Errorf("%d products were made", n)
	}
}

func TestSelling(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "mug", 5)
	key := w.key(t, shop.ScopeCatalog)
	var p httpapi.Product
	for _, c := range []struct{ body, status string }{
		{`{"selling": true}`, "available"}, {`{"selling": false}`, "not_selling"}, {`{}`, "available"},
		{`{"selling": false}`, "not_selling"}, {`{"selling": null}`, "available"}, {`{"selling": false}`, "not_selling"},
	} {
		w.send(t, put(key, "mug", c.body)).into(t, 200, &p)
		if p.Availability.Status != c.status || p.Availability.Available != 5 {
			t.Errorf("after %s the availability is %+v, want %s", c.body, p.Availability, c.status)
		}
	}
	for _, path := range claimPaths {
		w.send(t, request{method: "POST", path: path, token: token("ann"), body: `{"sku": "mug"}`}).refused(t, 409, "not-selling")
	}
}

// list reads all pages of a list of products and returns the SKUs, and how many pages there were.
func (w *world) list(t *testing.T, query string) (skus []string, pages int) {
	t.Helper()
	for cursor := ""; ; pages++ {
		var page httpapi.ProductPage
		w.send(t, get("/api/v1/products?"+query+cursor)).into(t, 200, &page)
		for _, p := range page.Items {
			skus = append(skus, p.SKU)
		}
		if page.NextCursor == nil {
			return skus, pages + 1
		}
		cursor = "&cursor=" + *page.NextCursor
	}
}

func TestListProducts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := w.key(t, shop.ScopeCatalog)
	var all []string
	for i := range 7 {
		sku := fmt.Sprintf("p.%d_-x", i)
		all = append(all, sku)
		w.send(t, put(key, sku, `{}`)).into(t, 201, nil)
	}
	w.send(t, put(key, "rehearsed", `{"rehearsal": true}`)).into(t, 201, nil)
	for query, pages := range map[string]int{"limit=1": 7, "limit=3": 3, "limit=7": 1, "limit=100": 1, "": 1} {
		if got, n := w.list(t, query); !slices.Equal(got, all) || n != pages {
			t.Errorf("%q: %v on %d pages, want %v on %d", query, got, n, all, pages)
		}
	}
	for query, want := range map[string][]string{
		"sku=" + all[4] + "&sku=" + all[1]:         {all[1], all[4]},
		"sku=" + all[4] + "&sku=nothing":           {all[4]},
		"sku=nothing":                              nil,
		"sku=rehearsed&sku=" + all[0]:              {all[0], "rehearsed"},
		"sku=" + all[5] + "&sku=" + all[5]:         {all[5]},
		"limit=1&sku=" + all[4] + "&sku=" + all[1]: {all[1], all[4]},
		"limit=1&cursor=cC41Xy14":                  {all[6]},
	} {
		if got, _ := w.list(t, query); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", query, got, want)
		}
	}
	if raw := w.send(t, get("/api/v1/products?sku=nothing")).into(t, 200, nil); string(raw.body) != "{\"items\":[],\"next_cursor\":null}\n" {
		t.Errorf("an empty list is %s", raw.body)
	}
	for query, where := range map[string]string{
		"limit=0": "query.limit", "limit=101": "query.limit", "limit=x": "query.limit", "cursor=" + canary + "!": "query.cursor",
		"cursor=AA": "query.cursor", "sku=a%00": "query.sku[0]", "sku=" + canary + "%ff": "query.sku[0]", "sku=": "query.sku[0]", "sku=mug&sku=": "query.sku[1]",
		"page=2": "query.page", strings.Repeat("sku=a&", 101): "query.sku",
	} {
		p := w.send(t, get("/api/v1/products?"+query)).refused(t, 422, "validation")
		if len(p.Errors) == 0 || p.Errors[0].Location != where {
			t.Errorf("%q: errors are %v, want one for %s", query, p.Errors, where)
		}
	}
}

func TestRehearsalProduct(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stocked(t, "mug", 5)
	key := w.key(t, shop.ScopeCatalog)
	var p httpapi.Product
	w.send(t, put(key, "play", `{"rehearsal": true}`)).into(t, 201, &p)
	w.send(t, put(key, "play", `{}`)).into(t, 200, &p)
	if !p.Rehearsal {
		t.Error("a rehearsal's product is one no more")
	}
	w.send(t, get("/api/v1/products/play")).into(t, 200, nil)
	w.stock(t, "play", 5)
	w.hold(t, "ann", "play", 2)
	remove := request{method: "DELETE", path: "/api/v1/products/play", token: key}
	w.send(t, remove).into(t, 204, nil)
	w.send(t, remove).refused(t, 404, "not-found")
	w.send(t, get("/api/v1/products/play")).refused(t, 404, "not-found")
	if got, want := w.rows(t), [3]int{0, 0, 5}; got != want {
		t.Errorf("claims, their units and tokens are %v, want %v", got, want)
	}
	remove.path = "/api/v1/products/mug"
	if p := w.send(t, remove).refused(t, 409, "conflict"); p.State == "" {
		t.Error("a conflict does not name the state")
	}
	w.send(t, get("/api/v1/products/mug")).into(t, 200, nil)
}
