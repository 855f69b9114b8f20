package token_test

import (
	"errors"
	"math"
	"math/big"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/phxgo/phoenix/token"
)

type user struct {
	ID     int        `term:"id"`
	Role   token.Atom `term:"role,atom"`
	Email  string     `term:",omitempty"`
	Seen   *time.Time `term:"seen_at,omitempty"`
	Notes  string     `term:"-"`
	Groups []string   `term:"groups"`
	hidden int
}

type (
	text  string
	octet uint8
	point struct{ X, Y int }
	fails struct{}
)

var errFails = errors.New("no text today")

func (fails) MarshalText() ([]byte, error) { return nil, errFails }
func (*fails) UnmarshalText([]byte) error  { return errFails }

// TestFromGo has the Go values that terms are made of, beyond those that a token
// has itself.
func TestFromGo(t *testing.T) {
	t.Parallel()
	seen := time.Date(2026, 8, 20, 12, 0, 0, 0, time.UTC)
	var (
		noPointer *user
		noBig     *big.Int
		one       any = 1
	)
	for name, tt := range map[string]struct{ v, want any }{
		"int8":            {int8(-1), int64(-1)},
		"uint16":          {uint16(9), int64(9)},
		"uint64":          {uint64(math.MaxUint64), bigInt("18446744073709551615")},
		"duration":        {time.Second, int64(1e9)},
		"float32":         {float32(0.5), 0.5},
		"bool":            {true, true},
		"bytes":           {[]byte("\x00\xff"), "\x00\xff"},
		"no bytes":        {[]byte(nil), ""},
		"an array":        {[3]byte{1, 2, 3}, "\x01\x02\x03"},
		"octets":          {[]octet{1, 2}, []any{int64(1), int64(2)}},
		"a kind of text":  {text("x"), "x"},
		"a charlist":      {token.Charlist("é€"), []any{int64('é'), int64('€')}},
		"no charlist":     {token.Charlist(""), []any{}},
		"the atom true":   {token.Atom("true"), true},
		"the atom nil":    {token.Atom("nil"), nil},
		"big":             {bigInt("5"), int64(5)},
		"big value":       {*bigInt("99999999999999999999"), bigInt("99999999999999999999")},
		"no big":          {noBig, nil},
		"big text":        {big.NewFloat(1.5), "1.5"},
		"ints":            {[]int{1, 2}, []any{int64(1), int64(2)}},
		"no ints":         {[]int(nil), []any{}},
		"an array of any": {[2]any{nil, "a"}, []any{nil, "a"}},
		"a pointer":       {&one, int64(1)},
		"no pointer":      {noPointer, nil},
		"a map":           {map[token.Atom]int{"b": 1, "a": 2}, token.Map{{token.Atom("a"), int64(2)}, {token.Atom("b"), int64(1)}}},
		"no map":          {map[string]any(nil), token.Map{}},
		"a Map":           {token.Map{{2, 1}, {1, 2}}, token.Map{{int64(1), int64(2)}, {int64(2), int64(1)}}},
		"time":            {seen, "2026-08-20T12:00:00Z"},
		"an address":      {netip.MustParseAddr("::1"), "::1"},
		"a point":         {point{1, 2}, token.Map{{"X", int64(1)}, {"Y", int64(2)}}},
		"an empty struct": {struct{}{}, token.Map{}},
		"a user": {
			&user{ID: 1, Role: "admin", Seen: &seen, Notes: "n", hidden: 3},
			token.Map{
				{token.Atom("role"), token.Atom("admin")},
				{"groups", []any{}},
				{"id", int64(1)},
				{"seen_at", "2026-08-20T12:00:00Z"},
			},
		},
	} {
		got, err := token.As[any](tt.v)
		if diff := cmp.Diff(tt.want, got, compareBig); err != nil || diff != "" {
			t.Errorf("%s: %v, (-want +got):\n%s", name, err, diff)
		}
	}
}

// TestFromGoLeavesAlone makes sure that a Map is sorted elsewhere.
func TestFromGoLeavesAlone(t *testing.T) {
	t.Parallel()
	m := token.Map{{"b", 1}, {"a", 2}}
	if _, err := token.As[any](m); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(token.Map{{"b", 1}, {"a", 2}}, m); diff != "" {
		t.Errorf("the map has changed (-want +got):\n%s", diff)
	}
}

func TestFromGoErrors(t *testing.T) {
	t.Parallel()
	loop := []any{nil, nil}
	loop[0], loop[1] = loop, loop
	var knot any
	knot = &knot
	for name, tt := range map[string]struct {
		v    any
		want string
	}{
		"a function":        {func() {}, "data: func() has no term"},
		"a channel in it":   {map[string]any{"a": []any{1, make(chan int)}}, "data{value of a map}[1]: chan int has no term"},
		"a key":             {map[any]int{complex(1, 2): 1}, "data{key of a map}: complex128 has no term"},
		"a field":           {struct{ F func() }{func() {}}, "data.F: func() has no term"},
		"NaN":               {math.NaN(), "data: a float that is not a number, or infinite"},
		"infinity":          {float32(math.Inf(1)), "data: a float that is not a number, or infinite"},
		"an atom":           {token.Atom("\xff"), "data: an atom that is not UTF-8, or longer than 255 characters"},
		"a long atom":       {token.Atom(strings.Repeat("é", 256)), "data: an atom that is not UTF-8, or longer than 255 characters"},
		"a charlist":        {token.Charlist("\xff"), "data: a Charlist that is not UTF-8"},
		"a text":            {fails{}, "data: token_test.fails cannot be text"},
		"equal keys":        {map[any]int{1: 1, int64(1): 2}, "data: two keys of a map are the same"},
		"equal keys in Map": {token.Map{{"a", 1}, {[]byte("a"), 2}}, "data: two keys of a map are the same"},
		"a knot":            {knot, "more than 256 levels"},
		"a loop":            {loop, "more than 256 levels"},
		"hidden fields":     {struct{ a int }{1}, "data: struct { a int } has no exported fields"},
		"embedded":          {struct{ point }{}, "has no exported fields"},
		"embedded, exported": {struct {
			big.Word
		}{}, `data.Word: an embedded field needs a tag with its name, or "-"`},
		"equal names": {struct {
			A int `term:"x"`
			B int `term:"x"`
		}{}, "data.B: another field has the same key"},
		"a tag on a hidden field": {struct {
			a int `term:"x"`
		}{1}, "data.a: a tag on a field that is not exported"},
		"an option": {struct {
			A int `term:"x,string"`
		}{}, "data.A: a tag with an unknown option"},
		"a bad atom": {struct {
			A int `term:"\xff,atom"`
		}{}, "data.A: an atom that is not UTF-8, or longer than 255 characters"},
	} {
		_, err := token.As[any](tt.v)
		var bad *token.TermError
		if !errors.As(err, &bad) || !strings.HasSuffix(err.Error(), tt.want) {
			t.Errorf("%s: got error %v, want %s", name, err, tt.want)
		}
	}
	if _, err := token.As[any](fails{}); !errors.Is(err, errFails) {
		t.Errorf("the cause is lost: %v", err)
	}
}

// as is As for a table.
func as[T any](v any) func() (any, error) {
	return func() (any, error) { return token.As[T](v) }
}

func TestAs(t *testing.T) {
	t.Parallel()
	var (
		five  = 5
		fives = &five
		seen  = time.Date(2026, 8, 20, 12, 0, 0, 0, time.UTC)
		large = bigInt("18446744073709551615")
	)
	for name, tt := range map[string]struct {
		as   func() (any, error)
		want any
	}{
		"bool":              {as[bool](true), true},
		"int":               {as[int](5), 5},
		"int8":              {as[int8](-128), int8(-128)},
		"uint8":             {as[uint8](255), uint8(255)},
		"uint64":            {as[uint64](large), uint64(math.MaxUint64)},
		"*big.Int":          {as[*big.Int](large), large},
		"*big.Int, small":   {as[*big.Int](5), bigInt("5")},
		"big.Int":           {as[big.Int](5), *bigInt("5")},
		"float64":           {as[float64](1.5), 1.5},
		"float64 of an int": {as[float64](int64(1) << 53), float64(1 << 53)},
		"float32":           {as[float32](1.5), float32(1.5)},
		"string":            {as[string]("a"), "a"},
		"text":              {as[text]("a"), text("a")},
		"bytes":             {as[[]byte]("a"), []byte("a")},
		"array":             {as[[2]byte]("ab"), [2]byte{'a', 'b'}},
		"atom":              {as[token.Atom](token.Atom("a")), token.Atom("a")},
		"atom nil":          {as[token.Atom](nil), token.Atom("nil")},
		"atom true":         {as[token.Atom](true), token.Atom("true")},
		"atom false":        {as[token.Atom](false), token.Atom("false")},
		"charlist":          {as[token.Charlist]([]any{'é', 'a'}), token.Charlist("éa")},
		"charlist, empty":   {as[token.Charlist]([]any{}), token.Charlist("")},
		"tuple":             {as[token.Tuple](token.Tuple{1}), token.Tuple{int64(1)}},
		"ints":              {as[[]int]([]any{1, 2}), []int{1, 2}},
		"octets":            {as[[]octet]([]any{1, 2}), []octet{1, 2}},
		"two":               {as[[2]string]([]any{"a", "b"}), [2]string{"a", "b"}},
		"pointer":           {as[*int](5), &five},
		"pointers":          {as[**int](5), &fives},
		"no pointer":        {as[*int](nil), (*int)(nil)},
		"map":               {as[map[string]int](map[string]any{"a": 1}), map[string]int{"a": 1}},
		"map of atoms":      {as[map[token.Atom]bool](token.Map{{token.Atom("a"), true}}), map[token.Atom]bool{"a": true}},
		"map of any":        {as[map[any]any](token.Map{{1, 1.5}, {1.5, nil}}), map[any]any{int64(1): 1.5, 1.5: nil}},
		"map of addresses":  {as[map[netip.Addr]int](map[string]int{"::1": 1}), map[netip.Addr]int{netip.IPv6Loopback(): 1}},
		"Map":               {as[token.Map](map[string]int{"a": 1}), token.Map{{"a", int64(1)}}},
		"time":              {as[time.Time]("2026-08-20T12:00:00Z"), seen},
		"no interface":      {as[any](nil), nil},
		"user": {
			as[user](token.Map{{"id", 1}, {token.Atom("role"), token.Atom("admin")}, {"groups", []any{"a"}}, {"seen_at", nil}, {"more", 1}, {"Notes", "n"}}),
			user{ID: 1, Role: "admin", Groups: []string{"a"}},
		},
		"user with all": {
			as[user](user{ID: 2, Role: "guest", Email: "e", Seen: &seen, Groups: []string{}}),
			user{ID: 2, Role: "guest", Email: "e", Seen: &seen, Groups: []string{}},
		},
	} {
		got, err := tt.as()
		if diff := cmp.Diff(tt.want, got, compareBig, cmp.AllowUnexported(user{}, big.Int{})); err != nil || diff != "" {
			t.Errorf("%s: %v, (-want +got):\n%s", name, err, diff)
		}
	}
}

func TestAsErrors(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		as   func() (any, error)
		want string
	}{
		"an atom, no string":      {as[string](token.Atom("a")), "data: an atom where string is wanted"},
		"a string, no atom":       {as[token.Atom]("a"), "data: a binary where token.Atom is wanted"},
		"nil, no int":             {as[int](nil), "data: nil where int is wanted"},
		"nil, no list":            {as[[]int](nil), "data: nil where []int is wanted"},
		"a float, no int":         {as[int](1.0), "data: a float where int is wanted"},
		"a bool, no int":          {as[int](true), "data: a boolean where int is wanted"},
		"large, no int8":          {as[int8](128), "data: an integer that does not fit in int8"},
		"negative, no uint":       {as[uint](-1), "data: an integer that does not fit in uint"},
		"big, no int":             {as[int](bigInt("9223372036854775808")), "data: an integer that does not fit in int"},
		"big, no uint64":          {as[uint64](bigInt("18446744073709551616")), "data: an integer that does not fit in uint64"},
		"big, no float":           {as[float64](bigInt("9223372036854775808")), "data: an integer that does not fit in float64"},
		"an int, no float":        {as[float64](int64(1)<<53 + 1), "data: an integer that does not fit in float64"},
		"largest int, no float":   {as[float64](int64(math.MaxInt64)), "data: an integer that does not fit in float64"},
		"large, no float32":       {as[float32](1e300), "data: a float that does not fit in float32"},
		"a float, no big":         {as[*big.Int](1.5), "data: a float where big.Int is wanted"},
		"a tuple, no list":        {as[[]any](token.Tuple{}), "data: a tuple where []interface {} is wanted"},
		"a list, no tuple":        {as[token.Tuple]([]any{}), "data: a list where token.Tuple is wanted"},
		"a list, no map":          {as[token.Map]([]any{}), "data: a list where token.Map is wanted"},
		"a list, no bytes":        {as[[]byte]([]any{1}), "data: a list where []uint8 is wanted"},
		"a binary, no octets":     {as[[]octet]("a"), "data: a binary where []token_test.octet is wanted"},
		"bytes of another number": {as[[2]byte]("a"), "data: a binary of 1 bytes where [2]uint8 is wanted"},
		"elements":                {as[[2]int]([]any{1}), "data: a list of 1 where [2]int is wanted"},
		"an element":              {as[[]int]([]any{1, "a"}), "data[1]: a binary where int is wanted"},
		"no code point":           {as[token.Charlist]([]any{0xD800}), "data: a list where token.Charlist is wanted"},
		"a negative code point":   {as[token.Charlist]([]any{-1}), "data: a list where token.Charlist is wanted"},
		"no charlist":             {as[token.Charlist]("a"), "data: a binary where token.Charlist is wanted"},
		"a key":                   {as[map[string]int](token.Map{{token.Atom("a"), 1}}), "data{key of a map}: an atom where string is wanted"},
		"a value":                 {as[map[string]int](token.Map{{"a", "b"}}), "data{value of a map}: a binary where int is wanted"},
		"a tuple as key":          {as[map[any]any](token.Map{{token.Tuple{}, 1}}), "data{key of a map}: a tuple cannot be a key of a Go map; a token.Map has it"},
		"a big key":               {as[map[any]any](token.Map{{bigInt("99999999999999999999"), 1}}), "data{key of a map}: an integer cannot be a key of a Go map; a token.Map has it"},
		"a pointer as key":        {as[map[*int]any](token.Map{{1, 1}}), "data{key of a map}: an integer where *int is wanted"},
		"keys that are equal":     {as[map[float64]any](token.Map{{1, 1}, {1.0, 1}}), "data: two keys that are the same as a float64"},
		"no map":                  {as[map[string]any]("a"), "data: a binary where map[string]interface {} is wanted"},
		"no struct":               {as[point]("a"), "data: a binary where token_test.point is wanted"},
		"a key that is missing":   {as[point](map[string]any{"X": 1}), "data.Y: there is no such key"},
		"a field":                 {as[[]point]([]any{map[string]any{"X": 1, "Y": "2"}}), "data[0].Y: a binary where int is wanted"},
		"an atom as key":          {as[point](token.Map{{token.Atom("X"), 1}, {token.Atom("Y"), 1}}), "data.X: there is no such key"},
		"a bad struct":            {as[struct{ a int }](token.Map{}), "data: struct { a int } has no exported fields"},
		"a text":                  {as[fails]("a"), "data: a binary that cannot become a token_test.fails"},
		"an interface":            {as[error]("a"), "data: a binary where error is wanted"},
		"a function":              {as[func()]("a"), "data: a binary where func() is wanted"},
		"bad data":                {as[int](make(chan int)), "data: chan int has no term"},
	} {
		_, err := tt.as()
		var bad *token.TermError
		if !errors.As(err, &bad) || err.Error() != "token: "+tt.want {
			t.Errorf("%s: got error %v, want %s", name, err, tt.want)
		}
	}
	if _, err := token.As[fails]("a"); !errors.Is(err, errFails) {
		t.Errorf("the cause is lost: %v", err)
	}
}
