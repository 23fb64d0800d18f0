package httpapi_test

import "testing"

// FuzzClaimBody: whatever a body is, it makes a transaction or is refused with a problem, and is never a fault of ours.
func FuzzClaimBody(f *testing.F) {
	w := newWorld(f)
	w.stocked(f, "cup", 20)
	f.Add(`{"sku": "cup", "quantity": 1}`)
	for _, bad := range badClaims {
		if text, is := bad.change(goodClaim("")).body.(string); is && len(text) < 4000 {
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, path := range claimPaths {
			r := goodClaim(path)
			r.body = text
			if a := w.send(t, r); a.status != 201 && (a.status < 400 || a.status >= 500) {
				t.Errorf("%s: got %d %s", path, a.status, a.body)
			}
		}
	})
}
