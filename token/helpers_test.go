package token_test

import (
	"math/big"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/phxgo/phoenix/token"
)

func bigInt(s string) *big.Int {
	v, ok := new(big.Int).SetString(s, 10)
	if !ok {
		panic("no integer: " + s)
	}
	return v
}

var compareBig = cmp.Comparer(func(a, b *big.Int) bool { return a.Cmp(b) == 0 })

// equal compares terms of many levels, which take package cmp for ever.
func equal(t *testing.T, a, b any) bool {
	t.Helper()
	c, err := token.Compare(a, b)
	if err != nil {
		t.Error("Compare: ", err)
	}
	return c == 0
}
