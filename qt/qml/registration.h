#ifndef NANOSTATEQML_REGISTRATION_H
#define NANOSTATEQML_REGISTRATION_H

#include "nanostateqml_global.h"

namespace NanostateQt {

/*! Registers the types of the QML module Nanostate, if they are not registered. The library does it itself as soon as
    there is a QCoreApplication. Main thread. */
NANOSTATEQML_EXPORT void registerQmlTypes();
/*! Takes the registration back. What uses the types goes on using them. */
NANOSTATEQML_EXPORT void unregisterQmlTypes();

} // namespace NanostateQt

#endif // NANOSTATEQML_REGISTRATION_H
