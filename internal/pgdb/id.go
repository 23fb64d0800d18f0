package pgdb

import (
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
)

// ID is a public id: a UUIDv7 (RFC 9562). It speaks pgx's binary format directly, which uuid.UUID does not, and arrays of it
// are what a batch of claims consists of.
type ID uuid.UUID

// NewID makes an ID that rises with time. It panics when the system has no source of randomness.
func NewID() ID { return ID(uuid.Must(uuid.NewV7())) }

// ParseID reads the usual form with hyphens, and no other.
func ParseID(s string) (ID, error) {
	var id ID
	return id, id.UnmarshalText([]byte(s))
}

func (id ID) String() string { return uuid.UUID(id).String() }

// MarshalText implements encoding.TextMarshaler.
func (id ID) MarshalText() ([]byte, error) { return uuid.UUID(id).MarshalText() }

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *ID) UnmarshalText(text []byte) error {
	if err := uuid.Validate(string(text)); err != nil || len(text) != 36 {
		return errNotAnID
	}
	return (*uuid.UUID)(id).UnmarshalText(text)
}

// UUIDValue implements pgtype.UUIDValuer.
func (id ID) UUIDValue() (pgtype.UUID, error) { return pgtype.UUID{Bytes: id, Valid: true}, nil }

// ScanUUID implements pgtype.UUIDScanner.
func (id *ID) ScanUUID(v pgtype.UUID) error {
	if !v.Valid {
		return errNotAnID
	}
	*id = v.Bytes
	return nil
}
