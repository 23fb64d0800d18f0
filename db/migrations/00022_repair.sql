-- +goose Up
-- What was repaired by a command: who did it, when, what was broken, the rows as they were found, and what was done.
CREATE TABLE repair (
    repair_id uuid NOT NULL,
    check_name text NOT NULL,
    sku text NOT NULL,
    unit_id uuid,
    claim_id uuid,
    order_id uuid,
    sale_id uuid,
    buyer text,
    broken text NOT NULL,
    found jsonb NOT NULL,
    done text NOT NULL,
    repaired_by text NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT repair_pkey PRIMARY KEY (repair_id),
    CONSTRAINT repair_by_length CHECK (length(repaired_by) BETWEEN 1 AND 100)
);

CREATE INDEX repair_by_unit ON repair (unit_id) WHERE unit_id IS NOT NULL;

COMMENT ON COLUMN repair.check_name IS 'the check of the audit that it was broken by';
COMMENT ON COLUMN repair.found IS 'the rows that were wrong, as they were found';

-- +goose StatementBegin
CREATE FUNCTION repair_refuse_change() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION 'what was repaired is written down for good'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'repair_only_grows';
END
$$;
-- +goose StatementEnd

CREATE TRIGGER repair_only_grows
BEFORE UPDATE OR DELETE ON repair
FOR EACH ROW
EXECUTE FUNCTION repair_refuse_change();

-- A unit comes into quarantine from an order, or because a repair found it where it could not be.
ALTER TABLE quarantine_unit
    ALTER COLUMN order_id DROP NOT NULL,
    ADD COLUMN repair_id uuid,
    ADD CONSTRAINT quarantine_unit_put_there_by CHECK (order_id IS NOT NULL OR repair_id IS NOT NULL);

-- +goose Down
-- Units stay where they are: what put them there was a repair, and its id is kept where that of an order was.
UPDATE quarantine_unit
SET order_id = quarantine_unit.repair_id
WHERE quarantine_unit.order_id IS NULL;

ALTER TABLE quarantine_unit
    DROP CONSTRAINT quarantine_unit_put_there_by,
    DROP COLUMN repair_id,
    ALTER COLUMN order_id SET NOT NULL;

DROP TABLE repair;
DROP FUNCTION repair_refuse_change();
