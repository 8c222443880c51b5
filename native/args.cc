#include "args.h"

#include <climits>
#include <cmath>
#include <cstdio>

namespace ringspec {

namespace {

std::string NumberText(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.17g", value);
  return text;
}

}  // namespace

std::string Args::Describe(size_t index) const {
  if (index >= count_) return "nothing";
  napi_valuetype type;
  if (napi_typeof(env_, values_[index], &type) != napi_ok) return "an unreadable value";
  switch (type) {
    case napi_undefined: return "undefined";
    case napi_null: return "null";
    case napi_boolean: return "a boolean";
    case napi_number: {
      double value = 0;
      napi_get_value_double(env_, values_[index], &value);
      return NumberText(value);
    }
    case napi_string: return "a string";
    case napi_symbol: return "a symbol";
    case napi_function: return "a function";
    case napi_bigint: return "a bigint";
    default: return "an object";
  }
}

bool Args::ThrowType(const std::string& what) const {
  napi_throw_type_error(env_, nullptr, (std::string(call_) + ": " + what).c_str());
  return false;
}

bool Args::ThrowRange(const std::string& what) const {
  napi_throw_range_error(env_, nullptr, (std::string(call_) + ": " + what).c_str());
  return false;
}

bool Args::ThrowState(const std::string& what) const {
  napi_throw_error(env_, nullptr, (std::string(call_) + ": " + what).c_str());
  return false;
}

bool Args::Integer(size_t index, const char* name, double low, double high, double* out) const {
  double value = 0;
  if (index >= count_ || napi_get_value_double(env_, values_[index], &value) != napi_ok) {
    return ThrowType(std::string(name) + " must be an integer from " + NumberText(low) + " to " +
                     NumberText(high) + ", got " + Describe(index) + "; pass a number");
  }
  // Written so that NaN fails too.
  if (!(value >= low && value <= high) || std::trunc(value) != value) {
    return ThrowRange(std::string(name) + " must be an integer from " + NumberText(low) + " to " +
                      NumberText(high) + ", got " + NumberText(value) +
                      "; for a word with its top bit set use `value >>> 0`");
  }
  *out = value;
  return true;
}

bool Args::U32(size_t index, const char* name, uint32_t* out) const {
  double value;
  if (!Integer(index, name, 0, 4294967295.0, &value)) return false;
  *out = static_cast<uint32_t>(value);
  return true;
}

bool Args::Fd(size_t index, int* out) const {
  double value;
  if (!Integer(index, "fd", 0, 2147483647.0, &value)) return false;
  *out = static_cast<int>(value);
  return true;
}

bool Args::SafeInteger(size_t index, const char* name, int64_t* out) const {
  double value;
  if (!Integer(index, name, -9007199254740991.0, 9007199254740991.0, &value)) return false;
  *out = static_cast<int64_t>(value);
  return true;
}

bool Args::Boolean(size_t index, const char* name, bool* out) const {
  if (index >= count_ || napi_get_value_bool(env_, values_[index], out) != napi_ok) {
    return ThrowType(std::string(name) + " must be true or false, got " + Describe(index));
  }
  return true;
}

bool Args::Address(size_t index, const char* name, uint64_t* out) const {
  bool lossless = false;
  if (index >= count_ || napi_get_value_bigint_uint64(env_, values_[index], out, &lossless) != napi_ok) {
    return ThrowType(std::string(name) + " must be a bigint address, got " + Describe(index) +
                     "; use Region.addr");
  }
  if (!lossless) {
    return ThrowRange(std::string(name) + " must fit in 64 bits and not be negative; use Region.addr");
  }
  return true;
}

bool Args::Path(size_t index, std::string* out) const {
  size_t length = 0;
  if (index >= count_ || napi_get_value_string_utf8(env_, values_[index], nullptr, 0, &length) != napi_ok) {
    return ThrowType("path must be a string, got " + Describe(index));
  }
  if (length == 0 || length >= PATH_MAX) {
    return ThrowRange("path must have 1 to " + std::to_string(PATH_MAX - 1) + " bytes, got " +
                      std::to_string(length));
  }
  out->resize(length + 1);
  if (napi_get_value_string_utf8(env_, values_[index], out->data(), length + 1, &length) != napi_ok) {
    return ThrowType("path could not be read as UTF-8");
  }
  out->resize(length);
  if (out->find('\0') != std::string::npos) {
    return ThrowRange("path must not contain a NUL character; the kernel would stop reading there");
  }
  return true;
}

bool Args::Bytes(size_t index, const char* name, void** data, size_t* length) const {
  bool typed = false;
  napi_typedarray_type type = napi_int8_array;
  if (index < count_) napi_is_typedarray(env_, values_[index], &typed);
  if (typed) {
    napi_get_typedarray_info(env_, values_[index], &type, length, data, nullptr, nullptr);
  }
  if (!typed || type != napi_uint8_array) {
    return ThrowType(std::string(name) + " must be a Uint8Array, got " +
                     (typed ? std::string("another typed array") : Describe(index)) +
                     "; wrap it: new Uint8Array(buffer, byteOffset, byteLength)");
  }
  return true;
}

bool Args::Function(size_t index, const char* name, napi_value* out) const {
  napi_valuetype type = napi_undefined;
  if (index < count_) napi_typeof(env_, values_[index], &type);
  if (type != napi_function) {
    return ThrowType(std::string(name) + " must be a function, got " + Describe(index));
  }
  *out = values_[index];
  return true;
}

}  // namespace ringspec
