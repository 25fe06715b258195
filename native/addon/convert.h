// JavaScript values to the engine's and back. Wrong values throw TypeError; src/datapath hands over only
// right ones.
#pragma once

#include <napi.h>

#include <string>

#include "../engine/error.h"
#include "../engine/ipv6.h"
#include "../engine/mac.h"

namespace kagemusha {

std::string text(const Napi::Value& value, const char* name);
std::uint32_t number(const Napi::Value& value, const char* name);
std::uint8_t octet(const Napi::Value& value, const char* name);
Address address(const Napi::Value& value);  // text form, RFC 4291 2.2
Mac mac(const Napi::Value& value);          // "aa:bb:cc:dd:ee:ff"
Napi::String macText(Napi::Env env, const Mac& mac);

// A JavaScript Error with `code` and the message.
Napi::Error toError(Napi::Env env, const EngineError& error);

// Runs `body`; what the engine throws becomes a JavaScript Error.
template <class Body>
auto guarded(Napi::Env env, Body&& body) {
  try {
    return body();
  } catch (const EngineError& error) {
    throw toError(env, error);
  } catch (const Napi::Error&) {
    throw;
  } catch (const std::exception& error) {
    throw toError(env, EngineError("ENGINE_FAILED", error.what()));
  }
}

}  // namespace kagemusha
