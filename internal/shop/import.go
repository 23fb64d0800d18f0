package shop

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lastunit/lastunit/internal/dbsqlc"
	"github.com/lastunit/lastunit/internal/pgdb"
	"github.com/lastunit/lastunit/internal/sheet"
)

// ImportItemsAtMost is how many products an import names. It counts all.
const ImportItemsAtMost = 1000

// ImportRequest is a sheet that is to be imported.
type ImportRequest struct {
	Sheet *sheet.Sheet
	// DryRun: nothing is changed, and what would be is told.
	DryRun   bool
	Operator Operator
	// Said is what the operator's key stands for: the file, and how it is read.
	Said string
	// Progress, if there is one, is told how much is done of how much.
	Progress func(done, all int)
}

// Import is what an import has changed, or would change.
type Import struct {
	Kind      sheet.Kind
	DryRun    bool
	Lines     int // of the sheet
	Created   int // products
	Changed   int
	Unchanged int
	Units     int // that came in
	Known     int // lines whose units have come in before
	Items     []ImportItem
	ItemCount int // of all products that something happens to
}

// ImportItem is what happens to a product.
type ImportItem struct {
	Line    int
	SKU     string
	Created bool
	Changes []FieldChange
	Units   int // that came in
}

// FieldChange is a field of a product with what it was, and what it is now, as a sheet says it. Nil: none.
type FieldChange struct {
	Field    string
	From, To *string
}

// importAtOnce is how many products, or lines of stock, are looked at together.
const importAtOnce = 5000

// importKeyID stands for the API key in the receipts of imports: the same delivery is one receipt, whoever imports it.
var importKeyID = ID{}

// Import brings the products and the stock of a sheet in, all of it or, when anything is wrong with it, nothing. The same sheet twice changes nothing: a product that is as
// the sheet says stays as it is, and units come in once for each product and reference, once for each serial, and up to a level. A call with a key that has imported before
// changes nothing, and returns true. Refusals: Validation, which names up to sheet.MaxProblems of what is wrong; KeyReused.
func (s *Shop) Import(ctx context.Context, r ImportRequest) (Import, bool, error) {
	i := &importer{s: s, r: r, sheet: r.Sheet}
	do := func(tx pgx.Tx) error {
		i.begin(tx)
		return i.run(ctx)
	}
	var replayed bool
	var err error
	if r.DryRun || r.Sheet.ProblemCount > 0 {
		i.dry = true
		err = pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, do)
	} else {
		inTx := func(ctx context.Context, do func(pgx.Tx) error) error {
			return pgdb.InTxWith(ctx, s.pool, countsAnew, do)
		}
		_, replayed, err = s.onceIn(ctx, inTx, r.Operator.call(), "import", r.Said, ID{}, do)
	}
	for _, once := range []string{"product_sku_once", "unit_serial_once", "receipt_key_once"} {
		if pgdb.ViolatesConstraint(err, once) {
			err = busy() // somebody else has just made the same; the next time it is there
		}
	}
	if err != nil {
		return Import{}, false, explain("import", err)
	}
	if replayed {
		return Import{Kind: r.Sheet.Kind, Lines: r.Sheet.Lines}, true, nil
	}
	if !i.dry {
		s.analyze(ctx, i.result.Units)
	}
	return i.result, false, nil
}

// importer is an import under way.
type importer struct {
	s      *Shop
	r      ImportRequest
	sheet  *sheet.Sheet
	dry    bool // nothing is written
	tx     pgx.Tx
	result Import
	items  map[string]int   // where a product's item is; -1: it is not among those that are named
	ids    map[string]int64 // of the products that get units; absent: it is new, and nothing is written
	isNew  map[string]bool
	wrong  sheet.Sheet // problems that only the store knows of
	done   int
}

// begin starts anew: a transaction may be tried twice.
func (i *importer) begin(tx pgx.Tx) {
	i.tx, i.done = tx, 0
	i.result = Import{Kind: i.sheet.Kind, DryRun: i.r.DryRun, Lines: i.sheet.Lines}
	i.items, i.ids, i.isNew, i.wrong = map[string]int{}, map[string]int64{}, map[string]bool{}, sheet.Sheet{}
	for _, one := range i.sheet.Stock {
		i.ids[one.SKU] = 0
	}
}

func (i *importer) run(ctx context.Context) error {
	if !i.dry {
		if err := i.s.q.ProductImportLock(ctx, i.tx); err != nil {
			return err
		}
		// All of them, in the order in which a sale that is scheduled takes them.
		skus := make([]string, len(i.sheet.Products))
		for j, p := range i.sheet.Products {
			skus[j] = p.SKU
		}
		if _, err := i.s.q.ProductBySkusForUpdate(ctx, i.tx, skus); err != nil {
			return fmt.Errorf("lock products: %w", err)
		}
	}
	way, err := i.s.giveWay(ctx, i.tx)
	if err != nil {
		return err
	}
	left := len(i.sheet.Products)
	for some := range slices.Chunk(i.sheet.Products, importAtOnce) {
		if err := i.products(ctx, some); err != nil {
			return err
		}
		i.progress(len(some))
		if left -= len(some); left == 0 {
			break // its products are locked: nobody rests with them for nothing
		}
		if err := way.give(ctx, i.tx); err != nil {
			return err
		}
	}
	if err := i.findStocked(ctx); err != nil {
		return err
	}
	var lots []lot
	var receipts []dbsqlc.ReceiptInsertManyParams
	for some := range slices.Chunk(i.deliveries(), importAtOnce) {
		l, r, err := i.stock(ctx, some)
		if err != nil {
			return err
		}
		lots, receipts = append(lots, l...), append(receipts, r...)
	}
	if i.sheet.ProblemCount+i.wrong.ProblemCount > 0 {
		return i.refusal()
	}
	if i.dry || len(lots) == 0 {
		return nil
	}
	return i.receive(ctx, lots, receipts)
}

func (i *importer) progress(done int) {
	if i.r.Progress == nil {
		return
	}
	all := len(i.sheet.Products)
	for _, one := range i.sheet.Stock {
		all += one.Quantity
	}
	i.done += done
	i.r.Progress(min(i.done, all), all)
}

// item is what happens to a product; what is not to be named goes nowhere.
func (i *importer) item(line int, sku string) *ImportItem {
	at, known := i.items[sku]
	if !known {
		at = -1
		if i.result.ItemCount++; len(i.result.Items) < ImportItemsAtMost {
			at = len(i.result.Items)
			i.result.Items = append(i.result.Items, ImportItem{Line: line, SKU: sku})
		}
		i.items[sku] = at
	}
	if at < 0 {
		return &ImportItem{}
	}
	return &i.result.Items[at]
}

// products creates and changes some products.
func (i *importer) products(ctx context.Context, some []sheet.Product) error {
	skus := make([]string, len(some))
	for j, p := range some {
		skus[j] = p.SKU
	}
	there, err := i.read(ctx, skus)
	if err != nil {
		return err
	}
	f := i.sheet.Fields
	var created []dbsqlc.ProductInsertManyParams
	changed := dbsqlc.ProductChangeManyParams{
		WithName: f.Name, WithDescription: f.Description, WithPrice: f.Price, WithImageUrl: f.ImageURL, WithAttributes: f.Attributes,
	}
	for _, p := range some {
		if p.ImageURL != "" && !isPicture(p.ImageURL) {
			i.wrong.Add(p.Line, "image_url", "must be an https URL, such as https://pictures.example/mug.png, or a path on this service, such as /pictures/mug.png")
			continue
		}
		was, exists := there[p.SKU]
		switch {
		case !exists:
			i.result.Created++
			i.isNew[p.SKU] = true
			item := i.item(p.Line, p.SKU)
			item.Created, item.Changes = true, i.changes(p, dbsqlc.Product{Selling: p.Selling == nil || *p.Selling, Attributes: json.RawMessage("{}")})
			created = append(created, newProduct(p))
		case was.Rehearsal:
			i.wrong.Add(p.Line, "sku", "is a product's that a rehearsal has made: choose another SKU, or end the rehearsal first")
		default:
			if i.sheet.Kind == sheet.ShopifyProducts {
				p.Attributes = merged(was.Attributes, p.Attributes)
			}
			changes := i.changes(p, was)
			if len(changes) == 0 {
				i.result.Unchanged++
				continue
			}
			i.result.Changed++
			i.item(p.Line, p.SKU).Changes = changes
			addChange(&changed, was, p)
		}
	}
	if i.dry {
		return nil
	}
	if err := i.write(ctx, created, changed); err != nil {
		return err
	}
	// The new ones have ids now.
	var stocked []string
	for _, p := range created {
		if _, gets := i.ids[p.SKU]; gets {
			stocked = append(stocked, p.SKU)
		}
	}
	_, err = i.read(ctx, stocked)
	return err
}

// read reads products, and remembers the ids of those that get units.
func (i *importer) read(ctx context.Context, skus []string) (map[string]dbsqlc.Product, error) {
	there := map[string]dbsqlc.Product{}
	if len(skus) == 0 {
		return there, nil
	}
	rows, err := i.s.q.ProductBySkus(ctx, i.tx, skus)
	if err != nil {
		return nil, fmt.Errorf("read products: %w", err)
	}
	for _, row := range rows {
		there[row.Product.SKU] = row.Product
		if _, gets := i.ids[row.Product.SKU]; gets {
			i.ids[row.Product.SKU] = row.Product.ProductID
		}
	}
	return there, nil
}

func (i *importer) write(ctx context.Context, created []dbsqlc.ProductInsertManyParams, changed dbsqlc.ProductChangeManyParams) error {
	if len(created) > 0 {
		if _, err := i.s.q.ProductInsertMany(ctx, i.tx, created); err != nil {
			return fmt.Errorf("create products: %w", err)
		}
	}
	if len(changed.ProductIds) > 0 {
		if _, err := i.s.q.ProductChangeMany(ctx, i.tx, changed); err != nil {
			return fmt.Errorf("change products: %w", err)
		}
	}
	return nil
}

func newProduct(p sheet.Product) dbsqlc.ProductInsertManyParams {
	arg := dbsqlc.ProductInsertManyParams{
		SKU: p.SKU, Name: optional(p.Name), Description: optional(p.Description), ImageURL: optional(p.ImageURL), Attributes: object(p.Attributes),
		Selling: p.Selling == nil || *p.Selling,
	}
	if p.Price != nil {
		arg.PriceMinor, arg.Currency = &p.Price.Minor, &p.Price.Currency
	}
	return arg
}

func addChange(arg *dbsqlc.ProductChangeManyParams, was dbsqlc.Product, p sheet.Product) {
	price := sheet.Price{Minor: -1}
	if p.Price != nil {
		price = *p.Price
	}
	selling := was.Selling
	if p.Selling != nil {
		selling = *p.Selling
	}
	arg.ProductIds = append(arg.ProductIds, was.ProductID)
	arg.Names = append(arg.Names, p.Name)
	arg.Descriptions = append(arg.Descriptions, p.Description)
	arg.PriceMinors = append(arg.PriceMinors, price.Minor)
	arg.Currencies = append(arg.Currencies, price.Currency)
	arg.ImageUrls = append(arg.ImageUrls, p.ImageURL)
	arg.Attributes = append(arg.Attributes, string(object(p.Attributes)))
	arg.Sellings = append(arg.Sellings, selling)
}

// object is {} for no attributes.
func object(attributes json.RawMessage) json.RawMessage {
	if len(attributes) == 0 {
		return json.RawMessage(`{}`)
	}
	return attributes
}

// changes are the fields that a sheet says otherwise than they are. An empty text is none.
func (i *importer) changes(p sheet.Product, was dbsqlc.Product) (all []FieldChange) {
	add := func(said bool, field, from, to string) {
		if said && from != to {
			all = append(all, FieldChange{field, optional(from), optional(to)})
		}
	}
	f := i.sheet.Fields
	add(f.Name, "name", text(was.Name), p.Name)
	add(f.Description, "description", text(was.Description), p.Description)
	var before *sheet.Price
	if was.PriceMinor != nil {
		before = &sheet.Price{Minor: *was.PriceMinor, Currency: text(was.Currency)}
	}
	add(f.Price, "price", before.String(), p.Price.String())
	add(f.ImageURL, "image_url", text(was.ImageURL), p.ImageURL)
	if p.Selling != nil {
		add(true, "selling", fmt.Sprint(was.Selling), fmt.Sprint(*p.Selling))
	}
	if f.Attributes && !equalJSON(was.Attributes, object(p.Attributes)) {
		from, to := string(was.Attributes), string(p.Attributes)
		if from == "{}" {
			from = ""
		}
		add(true, "attributes", from, to)
	}
	return all
}

// merged are a product's attributes with what a shop's export says of them instead of what one has said before.
func merged(was, said json.RawMessage) json.RawMessage {
	all, given := map[string]json.RawMessage{}, map[string]json.RawMessage{}
	if json.Unmarshal(was, &all) != nil || json.Unmarshal(object(said), &given) != nil {
		return said
	}
	for _, name := range sheet.ShopifyAttributes {
		delete(all, name)
	}
	for name, value := range given {
		all[name] = value
	}
	both, err := json.Marshal(all)
	if err != nil {
		return said
	}
	return both
}

// equalJSON compares as jsonb does, which keeps numbers exactly.
func equalJSON(a, b json.RawMessage) bool {
	var x, y any
	for _, one := range []struct {
		text json.RawMessage
		into *any
	}{{a, &x}, {b, &y}} {
		d := json.NewDecoder(strings.NewReader(string(one.text)))
		d.UseNumber()
		if d.Decode(one.into) != nil {
			return false
		}
	}
	return equalValues(x, y)
}

func equalValues(a, b any) bool {
	switch a := a.(type) {
	case json.Number:
		b, is := b.(json.Number)
		if !is || a == b {
			return is
		}
		x, okX := new(big.Rat).SetString(a.String())
		y, okY := new(big.Rat).SetString(b.String())
		return okX && okY && x.Cmp(y) == 0
	case []any:
		b, is := b.([]any)
		return is && slices.EqualFunc(a, b, equalValues)
	case map[string]any:
		b, is := b.(map[string]any)
		if !is || len(a) != len(b) {
			return false
		}
		for name, value := range a {
			if other, has := b[name]; !has || !equalValues(value, other) {
				return false
			}
		}
		return true
	}
	return a == b
}

// findStocked finds the products that get units and are not in the sheet, and refuses lines for those that there are not.
func (i *importer) findStocked(ctx context.Context) error {
	var unknown []string
	for sku, id := range i.ids {
		if id == 0 && !i.isNew[sku] {
			unknown = append(unknown, sku)
		}
	}
	slices.Sort(unknown)
	rehearsals := map[string]bool{}
	for some := range slices.Chunk(unknown, importAtOnce) {
		there, err := i.read(ctx, some)
		if err != nil {
			return err
		}
		for sku, p := range there {
			rehearsals[sku] = p.Rehearsal
		}
	}
	said := map[string]bool{}
	for _, p := range i.sheet.Products {
		said[p.SKU] = true // what is wrong with it has been told
	}
	for _, one := range i.sheet.Stock {
		switch {
		case rehearsals[one.SKU]:
			i.wrong.Add(one.Line, "sku", "is a product's that a rehearsal has made: it gets its units from there")
		case i.ids[one.SKU] == 0 && !i.isNew[one.SKU] && !said[one.SKU]:
			i.wrong.Add(one.Line, "sku", "is no product's: import the products first, or put a name and a price on this line as well")
		}
	}
	return nil
}

// delivery is units of a product that come together: of a line, or of the lines with serials that have one reference.
type delivery struct {
	line      int
	sku       string
	reference string
	quantity  int
	level     bool
	serials   []string
}

func (i *importer) deliveries() []delivery {
	all := make([]delivery, 0, len(i.sheet.Stock))
	withSerials := map[[2]string]int{}
	reference := i.sheet.StockReference()
	for _, one := range i.sheet.Stock {
		d := delivery{line: one.Line, sku: one.SKU, reference: cmp.Or(one.Reference, reference), quantity: one.Quantity, level: one.Level}
		if one.Serial == "" {
			all = append(all, d)
			continue
		}
		key := [2]string{d.sku, d.reference}
		at, known := withSerials[key]
		if !known {
			at = len(all)
			withSerials[key] = at
			d.quantity = 0
			all = append(all, d)
		}
		all[at].serials = append(all[at].serials, one.Serial)
		all[at].quantity++
	}
	return all
}

// stock decides what comes in of some deliveries.
func (i *importer) stock(ctx context.Context, some []delivery) (lots []lot, receipts []dbsqlc.ReceiptInsertManyParams, err error) {
	before, err := i.before(ctx, some)
	if err != nil {
		return nil, nil, err
	}
	for _, d := range some {
		id := i.ids[d.sku]
		if id == 0 && !i.isNew[d.sku] {
			continue // it has been refused
		}
		quantity, serials := d.quantity, d.serials
		switch known, had := before.references[idAndText{id, d.reference}]; {
		case len(serials) > 0:
			serials = slices.DeleteFunc(slices.Clone(serials), func(one string) bool { return before.serials[idAndText{id, one}] })
			quantity = len(serials)
			i.result.Known += d.quantity - quantity
		case had && !d.level && int64(quantity) > known:
			i.wrong.Add(d.line, "quantity", fmt.Sprintf("is more than the %d units that have come in with this reference before: give the others another reference", known))
			continue
		case had:
			quantity = 0
		case d.level:
			quantity = max(0, quantity-int(before.here[id]))
		}
		if quantity == 0 {
			if len(d.serials) == 0 {
				i.result.Known++
			}
			continue
		}
		i.result.Units += quantity
		i.item(d.line, d.sku).Units += quantity
		if i.dry {
			continue
		}
		for part := 0; quantity > 0; part++ {
			l := lot{productID: id, receiptID: pgdb.NewID(), quantity: min(quantity, MaxReceiptQuantity)}
			l.serials = serials[:min(l.quantity, len(serials))]
			serials = serials[len(l.serials):]
			quantity -= l.quantity
			lots = append(lots, l)
			receipts = append(receipts, dbsqlc.ReceiptInsertManyParams{
				ReceiptID: l.receiptID, ProductID: id, Quantity: int32(l.quantity), Reference: d.reference, SerialsHash: serialsHash(l.serials),
				APIKeyID: importKeyID, IdempotencyKey: importKey(d, l.serials, part),
			})
		}
	}
	return lots, receipts, nil
}

// importKey is what a receipt is made of once.
func importKey(d delivery, serials []string, part int) *string {
	hash := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%x\x00%d", d.sku, d.reference, serialsHash(serials), part))
	key := hex.EncodeToString(hash[:])
	return &key
}

type idAndText struct {
	id   int64
	text string
}

// cameBefore is what deliveries have brought before.
type cameBefore struct {
	references map[idAndText]int64 // units without serials
	serials    map[idAndText]bool
	here       map[int64]int64 // units, of products with a level
}

func (i *importer) before(ctx context.Context, some []delivery) (cameBefore, error) {
	b := cameBefore{map[idAndText]int64{}, map[idAndText]bool{}, map[int64]int64{}}
	var withReference dbsqlc.ReceiptWithReferenceParams
	var withSerial dbsqlc.UnitWithSerialParams
	var levels []int64
	for _, d := range some {
		id := i.ids[d.sku]
		if id == 0 || i.isNew[d.sku] {
			continue
		}
		if len(d.serials) == 0 {
			withReference.ProductIds, withReference.Wanted = append(withReference.ProductIds, id), append(withReference.Wanted, d.reference)
		}
		for _, serial := range d.serials {
			withSerial.ProductIds, withSerial.Serials = append(withSerial.ProductIds, id), append(withSerial.Serials, serial)
		}
		if d.level {
			levels = append(levels, id)
		}
	}
	if len(withReference.Wanted) > 0 {
		rows, err := i.s.q.ReceiptWithReference(ctx, i.tx, withReference)
		if err != nil {
			return b, fmt.Errorf("look for receipts: %w", err)
		}
		for _, row := range rows {
			b.references[idAndText{row.ProductID, row.Reference}] = row.Units
		}
	}
	if len(withSerial.Serials) > 0 {
		rows, err := i.s.q.UnitWithSerial(ctx, i.tx, withSerial)
		if err != nil {
			return b, fmt.Errorf("look for serials: %w", err)
		}
		for _, row := range rows {
			b.serials[idAndText{row.ProductID, row.Serial}] = true
		}
	}
	if len(levels) > 0 {
		rows, err := i.s.q.ReceiptHere(ctx, i.tx, levels)
		if err != nil {
			return b, fmt.Errorf("count units: %w", err)
		}
		for _, row := range rows {
			b.here[row.ProductID] = row.Units
		}
	}
	return b, nil
}

// receive writes the receipts and makes their units.
func (i *importer) receive(ctx context.Context, lots []lot, receipts []dbsqlc.ReceiptInsertManyParams) error {
	at, err := i.now(ctx)
	if err != nil {
		return err
	}
	for j := range receipts {
		receipts[j].CreatedAt = at
	}
	if _, err := i.s.q.ReceiptInsertMany(ctx, i.tx, receipts); err != nil {
		return fmt.Errorf("record receipts: %w", err)
	}
	if err := i.s.makeUnits(ctx, i.tx, i.progress, lots...); err != nil {
		return fmt.Errorf("make units: %w", err)
	}
	pools := make([]poolKey, len(lots))
	for j, l := range lots {
		pools[j] = poolKey{l.productID, commonPool}
	}
	return i.s.cameBack(ctx, i.tx, pools...)
}

func (i *importer) now(ctx context.Context) (time.Time, error) {
	if now := i.s.o.Now(); now != nil {
		return *now, nil
	}
	return i.s.q.ClockNow(ctx, i.tx)
}

// refusal lists what is wrong with the sheet, by line.
func (i *importer) refusal() *Refusal {
	all := slices.Concat(i.sheet.Problems, i.wrong.Problems)
	slices.SortStableFunc(all, func(a, b sheet.Problem) int { return cmp.Compare(a.Line, b.Line) })
	count := i.sheet.ProblemCount + i.wrong.ProblemCount
	r := &Refusal{Code: Validation, Detail: "One thing is wrong with the sheet, and nothing was imported. Correct it and import the sheet again."}
	if count > 1 {
		r.Detail = fmt.Sprintf("%d things are wrong with the sheet, and nothing was imported. Correct them and import the sheet again.", count)
	}
	if all = all[:min(len(all), sheet.MaxProblems)]; len(all) < count {
		r.Detail += fmt.Sprintf(" The first %d are listed.", len(all))
	}
	for _, p := range all {
		location := fmt.Sprintf("body.lines[%d]", p.Line)
		if p.Column != "" {
			location += "." + p.Column
		}
		r.Problems = append(r.Problems, Problem{Location: location, Message: p.Message})
	}
	return r
}
