package httpapi

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"regexp"

	"github.com/danielgtaylor/huma/v2"

	"github.com/lastunit/lastunit/internal/shop"
)

const (
	putProductText = "Replaces everything that is known of the product except its stock. Without a price it can't be sold here, only by a shop beside. " +
		"`rehearsal` counts when the product is created and can't be changed later."
	deleteProductText = "With its units and transactions. Only products that were created with `rehearsal` can be deleted: others have a history that must stay."
)

var skuForm = regexp.MustCompile(shop.SKUPattern)

type listProductsInput struct {
	Paged
	SKU []string `query:"sku,explode" maxItems:"100" pattern:"^[A-Za-z0-9._-]{1,64}$" patternDescription:"SKU" doc:"Only these; repeat it for several."`
}

// Resolve implements huma.Resolver.
func (*listProductsInput) Resolve(hc huma.Context) []error { return firstMeans(hc, "sku") }

type listProductsOutput struct{ Body ProductPage }

// ProductPage is a page of products.
type ProductPage struct {
	Items      []Product `json:"items" nullable:"false"`
	NextCursor *string   `json:"next_cursor" doc:"Where the next page begins; null on the last."`
}

func (a *api) listProducts(ctx context.Context, in *listProductsInput) (*listProductsOutput, error) {
	after, err := base64.RawURLEncoding.DecodeString(in.Cursor)
	if err != nil || in.Cursor != "" && !skuForm.Match(after) {
		return nil, badCursor()
	}
	products, more, err := a.shop.Products(ctx, in.SKU, string(after), in.Limit)
	if err != nil {
		return nil, err
	}
	out := &listProductsOutput{}
	out.Body.Items = make([]Product, len(products))
	for i, p := range products {
		out.Body.Items[i] = productOut(p)
	}
	if more {
		out.Body.NextCursor = ptr(base64.RawURLEncoding.EncodeToString([]byte(products[len(products)-1].SKU)))
	}
	return out, nil
}

// SKUPath is the product in an address.
type SKUPath struct {
	SKU string `path:"sku" pattern:"^[A-Za-z0-9._-]{1,64}$" doc:"The product." example:"mug-blue"`
}

type productOutput struct {
	Status int
	Body   Product
}

func (a *api) getProduct(ctx context.Context, in *SKUPath) (*productOutput, error) {
	p, err := a.shop.Product(ctx, in.SKU)
	if err != nil {
		return nil, err
	}
	return &productOutput{Status: http.StatusOK, Body: productOut(p)}, nil
}

type putProductInput struct {
	SKUPath
	Body ProductPut
}

// ProductPut is what is known of a product.
type ProductPut struct {
	Name        *string `json:"name,omitempty" nullable:"true" maxLength:"200" example:"Blue mug"`
	Description *string `json:"description,omitempty" nullable:"true" maxLength:"5000"`
	Price       *Money  `json:"price,omitempty"`
	ImageURL    *string `json:"image_url,omitempty" nullable:"true" maxLength:"2000" format:"uri-reference" doc:"Of a picture: https, or a path on this service."`
	Attributes  object  `json:"attributes,omitempty" doc:"An object that means nothing to lastunit and is given back as it is."`
	Selling     *bool   `json:"selling,omitempty" nullable:"false" default:"true" doc:"false takes it off sale."`
	Rehearsal   bool    `json:"rehearsal,omitempty" default:"false" doc:"A product of a rehearsal: absent from lists, and may be deleted."`
}

// TransformSchema implements huma.SchemaTransformer. It writes the price out, because huma does not validate what may be one of two schemas.
func (ProductPut) TransformSchema(r huma.Registry, s *huma.Schema) *huma.Schema {
	price := *r.SchemaFromRef(s.Properties["price"].Ref)
	price.Nullable = true
	s.Properties["price"] = &price
	return s
}

// object is any JSON object, with numbers as they were written.
type object map[string]any

// UnmarshalJSON implements json.Unmarshaler.
func (o *object) UnmarshalJSON(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	return d.Decode((*map[string]any)(o))
}

func (a *api) putProduct(ctx context.Context, in *putProductInput) (*productOutput, error) {
	if in.SKU == eventsSKU {
		return nil, invalid("path.sku", "must not be "+eventsSKU+": its address is that of the stream; choose another SKU")
	}
	b := in.Body
	p := shop.Product{
		SKU: in.SKU, Name: b.Name, Description: b.Description, ImageURL: b.ImageURL, Selling: b.Selling == nil || *b.Selling, Rehearsal: b.Rehearsal,
	}
	if b.Price != nil {
		p.Price = &shop.Money{Amount: b.Price.Amount, Currency: b.Price.Currency}
	}
	if b.Attributes != nil {
		attributes, err := json.Marshal(b.Attributes)
		if err != nil {
			return nil, err
		}
		p.Attributes = attributes
	}
	p, created, err := a.shop.PutProduct(ctx, p)
	if err != nil {
		return nil, err
	}
	out := &productOutput{Status: http.StatusOK, Body: productOut(p)}
	if created {
		out.Status = http.StatusCreated
	}
	return out, nil
}

func (a *api) deleteProduct(ctx context.Context, in *SKUPath) (*struct{}, error) {
	return nil, a.shop.DeleteRehearsalProduct(ctx, in.SKU)
}
