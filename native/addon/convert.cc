#include "convert.h"

#include <arpa/inet.h>

#include <cstdio>

namespace kagemusha {

std::string text(const Napi::Value& value, const char* name) {
  if (!value.IsString()) throw Napi::TypeError::New(value.Env(), std::string(name) + " must be a string");
  return value.As<Napi::String>().Utf8Value();
}

std::uint32_t number(const Napi::Value& value, const char* name) {
  if (!value.IsNumber()) throw Napi::TypeError::New(value.Env(), std::string(name) + " must be a number");
  const double number = value.As<Napi::Number>().DoubleValue();
  if (!(number >= 0 && number < 4294967296.0) ||
      number != static_cast<double>(static_cast<std::uint32_t>(number)))
    throw Napi::TypeError::New(value.Env(), std::string(name) + " must be a whole number from 0 to 2^32-1");
  return static_cast<std::uint32_t>(number);
}

std::uint8_t octet(const Napi::Value& value, const char* name) {
  const std::uint32_t octet = number(value, name);
  if (octet > 255)
    throw Napi::TypeError::New(value.Env(), std::string(name) + " must be a whole number from 0 to 255");
  return static_cast<std::uint8_t>(octet);
}

Address address(const Napi::Value& value) {
  const std::string string = text(value, "address");
  Address address;
  if (::inet_pton(AF_INET6, string.c_str(), address.octets.data()) != 1)
    throw Napi::TypeError::New(value.Env(), "\"" + string + "\" is not an IPv6 address");
  return address;
}

Mac mac(const Napi::Value& value) {
  const std::string string = text(value, "MAC address");
  Mac mac;
  auto* o = mac.octets.data();
  int end = 0;
  if (std::sscanf(string.c_str(), "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", o, o + 1, o + 2, o + 3, o + 4,
                  o + 5, &end) != 6 ||
      static_cast<std::size_t>(end) != string.size())
    throw Napi::TypeError::New(value.Env(), "\"" + string + "\" is not a MAC address");
  return mac;
}

Napi::String macText(Napi::Env env, const Mac& mac) {
  char buffer[18];
  const auto* o = mac.octets.data();
  std::snprintf(buffer, sizeof buffer, "%02x:%02x:%02x:%02x:%02x:%02x", o[0], o[1], o[2], o[3], o[4], o[5]);
  return Napi::String::New(env, buffer);
}

Napi::Error toError(Napi::Env env, const EngineError& error) {
  Napi::Error result = Napi::Error::New(env, error.what());
  result.Set("code", Napi::String::New(env, error.code()));
  return result;
}

}  // namespace kagemusha
