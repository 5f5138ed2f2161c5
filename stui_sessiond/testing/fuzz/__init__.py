"""Does a daemon, or an image, keep its word whatever it is sent? Fuzzing made from the descriptors of `protocol/`.

A script of requests is drawn from a `Source` of small numbers: a seeded one for long runs (`campaign`), one that
Hypothesis drives and shrinks for tests (`strategies`). It is data, so it can be replayed and made smaller. A
conversation plays it over a real connection and holds every answer against the descriptors and the schemas.

Needs the extra `fuzz`; nothing else imports this package.
"""
