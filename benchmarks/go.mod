module github.com/phxgo/phoenix/benchmarks

go 1.25.0

require (
	github.com/coder/websocket v1.8.15
	github.com/phxgo/phoenix v0.0.0-00010101000000-000000000000
	golang.org/x/sys v0.47.0
)

require github.com/cenkalti/backoff/v4 v4.3.0 // indirect

replace github.com/phxgo/phoenix => ../
