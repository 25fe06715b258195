// What the control side of the engine throws. The packet path throws nothing: there a drop has a reason.
#pragma once

#include <stdexcept>
#include <string>

namespace kagemusha {

// `code` is stable (DEVICE_BUSY, ...); the message is one line that says what is wrong, where, and what to do
// about it.
class EngineError : public std::runtime_error {
 public:
  EngineError(std::string code, const std::string& message)
      : std::runtime_error(message), code_(std::move(code)) {}
  const std::string& code() const { return code_; }

 private:
  std::string code_;
};

}  // namespace kagemusha
