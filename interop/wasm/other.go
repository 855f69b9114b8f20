//go:build !js

// Command wasm lets the client of this module live its life in Node and in a
// browser. It is what js/host.mjs is for phoenix.js: js/wasm_host.mjs calls
// goClient.list and goClient.run for the tests.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "this program is for Node and browsers: build it with GOOS=js GOARCH=wasm")
	os.Exit(2)
}
