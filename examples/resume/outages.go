package main

import (
	"github.com/phxgo/phoenix/phoenixtest"
)

// An outage is something that happens to all connections of a server.
type outage struct {
	name       string
	begin, end func(srv *phoenixtest.Server)
}

func outages(topic string) []outage {
	return []outage{
		{"the connections are cut", each((*phoenixtest.Conn).Cut), nothing},
		{"the server goes away and comes back", (*phoenixtest.Server).Down, (*phoenixtest.Server).Up},
		{"the server restarts, and says so with code 1012", each(func(conn *phoenixtest.Conn) {
			conn.Close(1012, "")
			<-conn.Done()
		}), nothing},
		{"the channels crash, and the connections do not", each(func(conn *phoenixtest.Conn) {
			if channel, ok := conn.Channel(topic); ok {
				channel.Exit(phoenixtest.Crash())
				<-channel.Context().Done()
			}
		}), nothing},
		{"the network is dead, and nobody says so", each((*phoenixtest.Conn).Blackhole), nothing},
	}
}

func each(do func(*phoenixtest.Conn)) func(*phoenixtest.Server) {
	return func(srv *phoenixtest.Server) {
		for _, conn := range srv.Conns() {
			do(conn)
		}
	}
}

func nothing(*phoenixtest.Server) {}
