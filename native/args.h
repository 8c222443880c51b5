// Checked arguments of one native call. Every reader returns false with a JS exception pending that
// says what was expected, what came, and how to fix it. Reading never runs JavaScript, so nothing
// that was checked can change before it is used.
#pragma once
#include <napi.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace ringspec {

class Args {
 public:
  Args(napi_env env, const char* call, size_t count, const napi_value* values)
      : env_(env), call_(call), count_(count), values_(values) {}

  bool U32(size_t index, const char* name, uint32_t* out) const;
  /** A descriptor: an integer from 0 to 2^31 - 1. */
  bool Fd(size_t index, int* out) const;
  /** An integer that a double holds exactly. */
  bool SafeInteger(size_t index, const char* name, int64_t* out) const;
  bool Boolean(size_t index, const char* name, bool* out) const;
  /** An address: a bigint from 0 to 2^64 - 1. */
  bool Address(size_t index, const char* name, uint64_t* out) const;
  /** A path: a string without NUL, shorter than PATH_MAX. */
  bool Path(size_t index, std::string* out) const;
  /** The bytes of a Uint8Array, which stay where they are until JavaScript runs again. */
  bool Bytes(size_t index, const char* name, void** data, size_t* length) const;
  bool Function(size_t index, const char* name, napi_value* out) const;

  napi_value At(size_t index) const { return index < count_ ? values_[index] : nullptr; }
  napi_env env() const { return env_; }

  /** Throw, return false: `call: what`. */
  bool ThrowType(const std::string& what) const;
  bool ThrowRange(const std::string& what) const;
  bool ThrowState(const std::string& what) const;
  /** "a string", "-1", "undefined": for messages. */
  std::string Describe(size_t index) const;

 private:
  bool Integer(size_t index, const char* name, double low, double high, double* out) const;

  napi_env env_;
  const char* call_;
  size_t count_;
  const napi_value* values_;
};

}  // namespace ringspec
