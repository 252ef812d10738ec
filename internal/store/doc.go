// Package store keeps typed tables with secondary indexes, a revision and a change feed in one bbolt file.
//
// It knows nothing of keys or tenants: its users declare a [Schema] for each kind of record and get a [Table]. What they write is on
// the disk before [DB.Update] returns, and what was not acknowledged is absent or whole.
//
// # The model
//
// A transaction sees one state of all tables. Reads ([DB.View]) run beside one another and beside the one writer ([DB.Update]);
// writers that may share a commit use [DB.Batch]. A commit that changes a table raises the revision by one and appends to the feed
// what it changed: table, key, put or deleted. A reader that holds the state of revision r asks [DB.Changes] for what came after r. The feed is trimmed
// to a bound, so a reader that is too far behind is told [ErrFellBehind], and reads the tables anew. Tables whose schema says Volatile
// stand outside: they are as durable, but raise no revision and leave no trace in the feed.
//
// # The invariants
//
//   - A record is returned only if its frame says so: version, length, and a CRC-32C over table, key and frame. A record that was
//     moved, cut or flipped is [ErrCorrupt], never another record.
//   - An index never answers alone: the record that it names is read, and must itself claim the index's key.
//   - Records, their index entries, the feed and the revision change in one commit or not at all. After an error nothing of the
//     transaction is visible; the one exception, a commit that failed at its very last write, closes the database to everybody ([ErrUndecided]).
//   - The file is not trusted. Its pages are walked before bbolt sees them, and each must be what it says and have one owner; both meta pages must be
//     whole, as the older one is the state before the last commit; the tables must be those that it was left with. While it is open, each
//     transaction looks whether its meta pages are still those of our last commit, and each write whether the file has kept its name and its size.
//   - No fault of the file ends the process. It is read through a memory map, where a truncated file is a SIGBUS: every step of a
//     transaction runs under debug.SetPanicOnFault, and page faults and assertions of bbolt become ErrCorrupt.
//   - Nothing that is handed out points into the memory map, so nothing is used after Close.
//   - File and folder are ours alone: modes 0600 and 0700, one owner, no symbolic links, one process (R-STORE-1). See [CheckDir].
//
// # Long reads
//
// A file that outgrows its memory map is mapped again, which waits for all open reads, and makes new ones wait too. The map starts
// generous for this reason; and whoever reads much, or is slow with what it reads, uses [Table.Walk], which opens a transaction for each piece,
// and so sees each row as it was at some moment since the start, instead of all rows at one moment.
//
// A copy or an examination of the pages must see one state and takes long: a [Snapshot] keeps a transaction open, reads the file and not the map, and
// gives way to a commit that must enlarge the map. [Examination] looks at everything else in pieces.
//
// # What it costs
//
// On 2 cores with 250 bytes a record: a read transaction with one Get 2 µs, an Update of one record 0.3 ms with its two syncs, a Batch of 128 writers
// 0.03 ms a record; a scan of a million records 0.1 s, and opening their file 0.08 s, or 0.3 s when it is not in the page cache.
// The benchmarks tell what it is elsewhere.
//
// # What it does not do
//
// It has no queries but key order and index lookup, no migrations (an index that is added to a table with rows does not know them;
// a Decode that reads older versions of a record is the way to change one), no encryption, and no second process.
// A checksum finds accidents, not forgeries: who can write the file can write a record with its sum, unless there is a key for MACs (Options.MACKey). Nothing finds a
// record that was deleted, or put back as it was before.
//
// The package runs on Unix.
package store
