'use strict';
// failure.js answers: with which code is a request refused?

class RequestFailure extends Error {
  constructor(code, message, details = {}) {
    super(message);
    this.code = code;
    this.details = details;
  }
}

module.exports = { RequestFailure };
