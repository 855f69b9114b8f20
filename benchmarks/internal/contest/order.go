package contest

import (
	"encoding/json"
	"fmt"
	"strings"
)

// An order is what applications send in JSON: short strings, numbers and lists of
// small objects.
type order struct {
	ID    int         `json:"id"`
	User  string      `json:"user"`
	Paid  bool        `json:"paid"`
	Total float64     `json:"total"`
	Note  string      `json:"note"`
	Lines []orderLine `json:"lines"`
}

type orderLine struct {
	SKU   string   `json:"sku"`
	Name  string   `json:"name"`
	Count int      `json:"count"`
	Price float64  `json:"price"`
	Tags  []string `json:"tags"`
}

// sampleOrder returns an order of exactly size bytes in JSON: as many lines as fit,
// and a note that fills the rest.
func sampleOrder(size int) (order, error) {
	o := order{ID: 12345, User: "alice", Paid: true, Total: 99.5, Lines: []orderLine{}}
	for {
		text, err := json.Marshal(o)
		if err != nil {
			return order{}, err
		}
		const line = 100 // about what one takes
		switch rest := size - len(text); {
		case rest < 0:
			return order{}, fmt.Errorf("no order has only %d bytes", size)
		case rest < line:
			o.Note = strings.Repeat("n", rest)
			return o, nil
		}
		i := len(o.Lines)
		o.Lines = append(o.Lines, orderLine{
			SKU: fmt.Sprintf("A-%d", 1000+i), Name: "the quick brown fox", Count: i + 1, Price: 12.75, Tags: []string{"red", "large"},
		})
	}
}

// check makes sure that an order is the one that was wanted, without looking at all
// of it: the contestants are to decode, not to compare.
func (o order) check(want order) error {
	n := len(want.Lines)
	if o.ID != want.ID || o.User != want.User || o.Paid != want.Paid || o.Note != want.Note || len(o.Lines) != n {
		return fmt.Errorf("an order that is another: %+v", o)
	}
	if n > 0 && (o.Lines[n-1].SKU != want.Lines[n-1].SKU || len(o.Lines[n-1].Tags) != len(want.Lines[n-1].Tags)) {
		return fmt.Errorf("an order with other lines: %+v", o)
	}
	return nil
}
