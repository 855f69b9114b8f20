package report

import "time"

// Schema is the version of the JSON form of a Report. It grows when a field
// changes its meaning or goes; fields may be added without that.
const Schema = 1

// The names of what is measured. A push also has one under [PushName].
const (
	// Connect is the time until a socket is open and frames get through.
	Connect = "connect"
	// Join is the time until the reply to a join.
	Join = "join"
	// Push is the time until the reply to a push. In an open model it counts from
	// when the push should have started.
	Push = "push"
	// Service is the same from when the push did start.
	Service = "service"
	// Unanswered is how long pushes have waited that got no reply: they timed out, their
	// connection was lost, or the test was over. They are in no other latency.
	Unanswered = "unanswered"
	// Delivery is the time from a publish to its receipt, at each other member of
	// the topic.
	Delivery = "delivery"
	// Presence is the time from the join to the first list of presences.
	Presence = "presence"
	// Back is the time from the loss of a connection until the user has all its
	// channels again.
	Back = "back"
)

// PushName is the name of the latency of the pushes of one event.
func PushName(event string) string { return Push + ":" + event }

// The kinds of errors.
const (
	// Refused: the connection or the join was refused.
	Refused = "refused"
	// Timeout: no reply came in time.
	Timeout = "timeout"
	// Reply: the reply had another status than ok.
	Reply = "reply"
	// Lost: the connection was lost or could not be made; the outcome of a push is
	// unknown.
	Lost = "lost"
	// Crashed: the channel crashed on the server, or the server closed it.
	Crashed = "crashed"
	// Gap: at a receiver there was an outage, in which it may have missed messages.
	Gap = "gap"
	// Dropped: the generator did not handle messages fast enough, and dropped them.
	Dropped = "dropped"
	// Overrun: a turn did not start, because too many were under way.
	Overrun = "overrun"
	// Other: anything else, such as an error of the scenario's own function.
	Other = "other"
)

// Kinds returns the kinds of errors, in the order in which they are shown.
func Kinds() []string {
	return []string{Refused, Timeout, Reply, Lost, Crashed, Gap, Dropped, Overrun, Other}
}

// A Report is the result of a load test.
type Report struct {
	Schema int    `json:"schema"`
	Name   string `json:"name,omitempty"`
	// Endpoint is the server, without user and query.
	Endpoint string    `json:"endpoint"`
	Started  time.Time `json:"started"`
	// Elapsed is how long the load lasted, without connecting before and waiting
	// after it in the open model. Rates refer to it.
	Elapsed time.Duration `json:"elapsed_ns"`
	// Load says in words what was asked for.
	Load  string `json:"load"`
	Model string `json:"model"` // closed, open or arrivals
	// Interrupted says that the test was ended before its time.
	Interrupted bool `json:"interrupted,omitempty"`
	// Warnings say what to think of before the figures are believed.
	Warnings []Warning `json:"warnings,omitempty"`

	Counts   Counts              `json:"counts"`
	Latency  map[string]*Latency `json:"latency"`
	Errors   map[string]*Errors  `json:"errors,omitempty"` // by kind
	Delivery *Deliveries         `json:"delivery,omitempty"`
	Storms   []Storm             `json:"storms,omitempty"`
	Series   Series              `json:"series"`
	Machines []Machine           `json:"machines"`
	Failures []string            `json:"failures,omitempty"` // thresholds that were not met
}

// A Warning is something that makes figures of the report doubtful.
type Warning struct {
	Code string `json:"code"` // such as "generator"; texts may change, codes do not
	Text string `json:"text"`
}

// Counts are totals.
type Counts struct {
	Users      int64 `json:"users"`        // that have begun
	PeakUsers  int64 `json:"peak_users"`   // connected at the same time
	Failed     int64 `json:"failed_users"` // whose function returned an error
	Turns      int64 `json:"turns"`
	Operations int64 `json:"operations"` // attempts to connect, joins, pushes and casts
	Connects   int64 `json:"connects"`
	Joins      int64 `json:"joins"`
	Pushes     int64 `json:"pushes"` // with an ok reply
	Casts      int64 `json:"casts"`
	Reconnects int64 `json:"reconnects"`
	Rejoins    int64 `json:"rejoins"`
	Unfinished int64 `json:"unfinished"` // operations that the end of the test cut off
	Received   int64 `json:"received"`   // messages that listeners got
	FramesIn   int64 `json:"frames_in"`
	FramesOut  int64 `json:"frames_out"`
	BytesIn    int64 `json:"bytes_in"` // on the network, with everything
	BytesOut   int64 `json:"bytes_out"`
}

// Errors are those of one kind.
type Errors struct {
	Count int64 `json:"count"`
	// Examples are some of their texts, the first ones.
	Examples []Example `json:"examples,omitempty"`
}

// An Example is the text of an error, and how often it came.
type Example struct {
	Text  string `json:"text"`
	Count int64  `json:"count"`
}

// Deliveries say what became of the messages that were published. Each message
// counts once at each receiver: at every other member of its topic, among the
// users of this generator, that had joined before it was published.
type Deliveries struct {
	Published int64 `json:"published"`
	Expected  int64 `json:"expected"` // Received and the four kinds that were not
	Received  int64 `json:"received"`
	// Lost were never received, although the receiver was joined and connected all
	// the time. Missing names some of them.
	Lost int64 `json:"lost"`
	// Gap were published while the receiver was not connected or joined.
	Gap int64 `json:"gap"`
	// Dropped have arrived, but the generator was too slow to look at them.
	Dropped int64 `json:"dropped"`
	// Undecided: the receiver left right after, or it is not known whether the
	// message has reached the server.
	Undecided int64 `json:"undecided"`
	// OutOfOrder have come after a later message of the same publisher.
	OutOfOrder int64 `json:"out_of_order"`
	Duplicates int64 `json:"duplicates"`
	// Foreign are messages of another generator, of which only this is known.
	Foreign int64     `json:"foreign"`
	Missing []Missing `json:"missing,omitempty"`
}

// Missing is a message that a receiver has lost.
type Missing struct {
	Topic     string `json:"topic"`
	Seq       uint64 `json:"seq"` // the number of the message in its topic
	Publisher int    `json:"publisher"`
	Receiver  int    `json:"receiver"`
	// At is when it was published, since the start of the test.
	At time.Duration `json:"at_ns"`
}

// A Storm is a moment at which all connections were cut at once.
type Storm struct {
	At   time.Duration `json:"at_ns"`
	Cut  int64         `json:"cut"`  // users whose connection was cut
	Back int64         `json:"back"` // users that were back when the test, or the next storm, came
	// Took is how long it took until the last of those was back.
	Took time.Duration `json:"took_ns"`
}

// A Series is the course of the test.
type Series struct {
	Interval time.Duration `json:"interval_ns"`
	Samples  []Sample      `json:"samples"`
}

// A Sample is one interval of a Series.
type Sample struct {
	// At is the end of the interval, since the start of the test.
	At    time.Duration `json:"at_ns"`
	Stage int           `json:"stage"` // from 1; 0 before and after the load
	Users int64         `json:"users"` // connected at its end
	// What happened in it.
	Turns    int64               `json:"turns"`
	Pushes   int64               `json:"pushes"`
	Casts    int64               `json:"casts"`
	Received int64               `json:"received"`
	BytesIn  int64               `json:"bytes_in"`
	BytesOut int64               `json:"bytes_out"`
	Errors   int64               `json:"errors"`
	Latency  map[string]*Latency `json:"latency,omitempty"`
	// Suspect says why the figures are doubtful: "scheduler", "gc", "cpu".
	Suspect []string `json:"suspect,omitempty"`
}

// A Machine is where a generator ran, and how it did.
type Machine struct {
	Go         string `json:"go"`
	OS         string `json:"os"`
	CPUs       int    `json:"cpus"`        // of the machine
	GOMAXPROCS int    `json:"gomaxprocs"`  // that the generator may use
	SameHost   bool   `json:"same_host"`   // the server ran on the same machine
	InProcess  bool   `json:"in_process"`  // and even in the same process
	PeakMemory int64  `json:"peak_memory"` // bytes that Go had from the system
	Goroutines int64  `json:"goroutines"`  // at most
	// CPU is the time that the process took, and PeakCPU the most that it took in an
	// interval, as a part of all it may use (1 is all).
	CPU     time.Duration `json:"cpu_ns"`
	PeakCPU float64       `json:"peak_cpu"`
	// GCPauses is how long the garbage collector stopped the process, in all.
	GCPauses time.Duration `json:"gc_pauses_ns"`
	// Delay is how late the generator's own timers were.
	Delay *Latency `json:"delay"`
	// Suspect is how many intervals of the load it was the bottleneck in.
	Suspect   int `json:"suspect_intervals"`
	Intervals int `json:"intervals"`
}

// ErrorCount returns how many errors there were, of all kinds.
func (r *Report) ErrorCount() int64 {
	var n int64
	for _, e := range r.Errors {
		n += e.Count
	}
	return n
}

// ErrorRate returns the errors as a part of the operations, from 0 to 1.
func (r *Report) ErrorRate() float64 {
	if r.Counts.Operations == 0 {
		return 0
	}
	return float64(r.ErrorCount()) / float64(r.Counts.Operations)
}

// rate returns a count as a number a second.
func (r *Report) rate(n int64) float64 {
	if r.Elapsed <= 0 {
		return 0
	}
	return float64(n) / r.Elapsed.Seconds()
}
