-- Expired tokens are found without looking at the others.
CREATE INDEX refresh_tokens_expires ON refresh_tokens (expires);
