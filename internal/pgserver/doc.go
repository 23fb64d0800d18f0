// Package pgserver runs an own PostgreSQL for people who have none running. It finds the programs that are installed,
// makes a cluster in the data directory, starts it, keeps it running and stops it. It knows nothing of ours.
//
// What lies in a data directory:
//
//	lock            held (flock) by the process whose PostgreSQL this is: its pid, then the URL once it can be used
//	postgres/       the cluster, kept between starts
//	postgres.new/   a cluster being made; it becomes postgres/ by one rename, so a half-made one is never used
//	postgres.log    what PostgreSQL says; the log before it is postgres.log.1
//	socket/         the only way in
//
// Nobody needs a password, because nobody else gets in: PostgreSQL listens on no network address, and its socket is in a
// directory that only the user it runs as, and root, can enter.
package pgserver
