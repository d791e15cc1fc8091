#ifndef NANOSTATEQML_VALUETYPE_H
#define NANOSTATEQML_VALUETYPE_H

#include "sharedstate.h"

#include <QtCore/qstring.h>
#include <QtCore/qvariant.h>

namespace NanostateQt {
namespace ValueType {

/*! Whether a value that a client returned is of this type; every value is of the type Any, and null of no other. */
bool isOf(const QVariant &value, SharedState::Type type);
/*! The same for a value to publish: whether it arrives as this type. */
bool isSentAs(const QVariant &value, SharedState::Type type);

/*! What this value is instead, as in "is a string, not a number". */
QString mismatch(const QVariant &value, SharedState::Type type);

} // namespace ValueType
} // namespace NanostateQt

#endif // NANOSTATEQML_VALUETYPE_H
