// http: exchanges. A message comes in, an answer goes out; what carries them (HTTP/1.1 on TCP or a
// Unix socket now, TLS and HTTP/2 later) stays behind this face.
//
//   http/message.h   Header, RequestHead, ResponseHead, Body: the words
//   http/parse.h     the strict HTTP/1.1 reader: plain functions over bytes, no I/O
//   http/server.h    Server, Exchange, Handler: calls that come in
//   http/client.h    Client, Upstream: calls that go out, over pooled connections
//
// An ambiguous message is refused, never normalised.
#pragma once

#include "http/client.h"
#include "http/message.h"
#include "http/server.h"
