#ifndef NANOSTATEQML_ARRIVED_H
#define NANOSTATEQML_ARRIVED_H

#include <NanostateQt/private/client_p.h>

#include <QtCore/qstring.h>

namespace NanostateQt {

/*!
    What has arrived of one name since a value of it was last shown, and which value is the newest.
*/
class Arrived
{
public:
    /*! A state of the client has arrived. */
    void add(const Client *client, const ns_state *state);
    /*! A value of this sender was withdrawn, which is not the newest any more. */
    void addCleared(const Client *client, const char *sender);
    /*! Only the client says which is the newest. */
    void doubt() { m_isNewest = false; }
    /*! The newest is about to be shown. */
    void clear();

    /*! The newest value of the name: the one that has arrived if none can be newer, else the one that the client
        returns. \a shown is the state that is shown; NULL if it is none that arrived. */
    StatePointer newest(const Client *client, const QString &name, const ns_state *shown) const;

private:
    void begin(const Client *client);

    // The state with the latest time.
    StatePointer m_state;
    // Whether it is certainly the newest. Values of the same millisecond have an order too, but only the app knows it.
    bool m_isNewest = false;
    // Whether nothing has arrived.
    bool m_isFirst = true;
    // The app of the client from which it came.
    int m_generation = 0;
};

} // namespace NanostateQt

#endif // NANOSTATEQML_ARRIVED_H
