//! What a fleet of services that use gateless shares, in Redis or Valkey.
