#ifndef NANOSTATEQML_REGISTRATION_H
#define NANOSTATEQML_REGISTRATION_H

#include "nanostateqml_global.h"

namespace NanostateQt {

/*! Registers the types of the QML module Nanostate, unless they are registered. The library does so by itself as soon
    as there is a QCoreApplication. Main thread. */
NANOSTATEQML_EXPORT void registerQmlTypes();
/*! Undoes the registration. What uses the types goes on using them. */
NANOSTATEQML_EXPORT void unregisterQmlTypes();

} // namespace NanostateQt

#endif // NANOSTATEQML_REGISTRATION_H
