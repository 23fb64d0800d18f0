// Generated from openapi.yaml by `make client`. Do not edit.

/** What every problem has. */
export interface ProblemBase {
  /** The page that explains this code. */
  type: string;
  /** The code in words, the same for every occurrence. */
  title: string;
  /** What is the matter this time and what to do next, for a person. */
  detail: string;
}

/** One thing that is wrong with a request. */
export interface ValidationError {
  /** Where: body, path, query or header, and the field's path. */
  location: string;
  /** What it should be. */
  message: string;
}

/** The problem codes, and what a problem has with each besides what every one has. */
export interface ProblemKinds {
  /** All in other people's carts */
  "all-held": {
    status: 409;
    /** When the first hold ends, if one ends by itself. RFC 3339. */
    next_release_at?: string;
  };
  /** Busy */
  "busy": {
    status: 503;
  };
  /** Nothing to order */
  "cart-empty": {
    status: 409;
  };
  /** Conflict */
  "conflict": {
    status: 409;
    /** The state that does not allow it. */
    state: string;
  };
  /** Cooling down */
  "cool-down": {
    status: 409;
  };
  /** Not allowed */
  "forbidden": {
    status: 403;
  };
  /** Holds have lapsed */
  "hold-expired": {
    status: 409;
    /** The holds that have lapsed. */
    transaction_ids: string[];
  };
  /** Idempotency-Key reused */
  "idempotency-key-reused": {
    status: 422;
  };
  /** Something broke */
  "internal": {
    status: 500;
  };
  /** Not enough units */
  "not-enough-units": {
    status: 409;
    /** How many can be claimed. */
    available: number;
  };
  /** Not found */
  "not-found": {
    status: 404;
  };
  /** Not selling */
  "not-selling": {
    status: 409;
  };
  /** Outcome unknown */
  "outcome-unknown": {
    status: 503;
  };
  /** Too large */
  "payload-too-large": {
    status: 413;
  };
  /** Not paid */
  "payment-failed": {
    status: 402;
  };
  /** More than one buyer may have */
  "purchase-limit": {
    status: 409;
    /** How many units of the sale one buyer may have. */
    limit: number;
    /** How many more this buyer may have. */
    remaining: number;
    /** The buyer's own unpaid orders in the sale. Cancelling one makes room. */
    order_ids: string[];
  };
  /** Too slow */
  "request-timeout": {
    status: 408;
  };
  /** The sale is over */
  "sale-ended": {
    status: 409;
  };
  /** The sale is not open yet */
  "sale-not-open": {
    status: 409;
    /** When the sale opens. RFC 3339. */
    opens_at: string;
  };
  /** Two sales at once */
  "sale-overlaps": {
    status: 409;
    /** The id of the other sale. */
    state: string;
  };
  /** Paused */
  "sale-paused": {
    status: 409;
  };
  /** Sold out */
  "sold-out": {
    status: 409;
  };
  /** Too many requests */
  "too-many-requests": {
    status: 429;
  };
  /** Who is calling? */
  "unauthenticated": {
    status: 401;
  };
  /** Unsupported media type */
  "unsupported-media-type": {
    status: 415;
  };
  /** Not valid */
  "validation": {
    status: 422;
    /** Everything that is wrong with the request. */
    errors: ValidationError[];
  };
}
