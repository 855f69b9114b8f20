// Package load runs load tests of a Phoenix server: virtual users that connect, join,
// push, listen and leave, and a report of what they measured.
//
//	r, err := load.Run(ctx, load.Scenario{
//		Endpoint: "ws://localhost:4000/socket",
//		Users:    100,
//		Rate:     1000, // pushes a second
//		User: func(ctx context.Context, u *load.User) error {
//			room, err := u.Join(ctx, "room:lobby", nil)
//			if err != nil {
//				return err
//			}
//			return u.Each(ctx, func(ctx context.Context) error {
//				_, err := room.Push(ctx, "ping", nil)
//				return err
//			})
//		},
//	})
//	if err != nil { … }
//	r.WriteText(os.Stdout)
//
// # Models
//
// In the closed model each user waits for its reply, pauses ([Scenario.Think]) and
// pushes again. A server that gets slow gets less load then, and the pushes that
// were not made meanwhile are not in the figures. The report warns where that
// matters.
//
// In the open model ([Scenario.Rate]) pushes begin at their time, whether or not
// earlier ones have ended, and latencies count from when a push should have begun.
// A server that stalls is not flattered. In the arrivals model ([Scenario.Arrivals])
// the same is true of users, which come, make their turns and go.
//
// # What is measured
//
// How long it takes to connect, to join, from a push to its reply, and from a publish
// to its receipt at every other member of the topic. The last is measured with a stamp
// in the payload ([Channel.Publish]), which has a number, too: so messages that are
// lost, late or doubled are known by name. Percentiles have three digits; they are
// those of all that was measured, also over several machines ([report.Merge]).
//
// The generator watches itself. Where it was the bottleneck the report says so, on
// top.
package load
